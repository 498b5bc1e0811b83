package accounts_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// signed is a token of these texts under a key.
func signed(key ed25519.PrivateKey, header, claims string) string {
	text := b64(header) + "." + b64(claims)
	return text + "." + b64(string(ed25519.Sign(key, []byte(text))))
}

// parts of a good token, as texts.
func parts(t testing.TB, token string) (header, claims string) {
	t.Helper()
	texts := strings.Split(token, ".")
	require.Len(t, texts, 3)
	for i, into := range []*string{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(texts[i])
		require.NoError(t, err)
		*into = string(raw)
	}
	return header, claims
}

// forgeries are tokens that must be refused, by what is wrong with them.
func forgeries(t testing.TB, w *world, tokens accounts.Tokens) map[string]string {
	t.Helper()
	good := string(tokens.Access)
	header, claims := parts(t, good)
	require.Equal(t, good, signed(w.key, header, claims), "the forger's tools work")
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	public := w.key.Public().(ed25519.PublicKey)
	out := map[string]string{}
	swap := func(text, old, new string) string {
		t.Helper()
		require.Contains(t, text, old)
		return strings.Replace(text, old, new, 1)
	}
	unsigned := strings.Join(strings.Split(good, ".")[:2], ".")
	signature := strings.Split(good, ".")[2]

	// The algorithm is not the token's to choose.
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "HS256", "HS512", "ES256", "RS256", "PS256", "EdDSA ", "eddsa", "Ed25519"} {
		h := swap(header, `"alg":"EdDSA"`, fmt.Sprintf(`"alg":%q`, alg))
		out["alg "+alg+" unsigned"] = b64(h) + "." + b64(claims) + "."
		out["alg "+alg+" signed"] = signed(w.key, h, claims)
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(b64(h) + "." + b64(claims)))
		out["alg "+alg+" with the public key as a secret"] = b64(h) + "." + b64(claims) + "." + b64(string(mac.Sum(nil)))
	}
	for name, h := range map[string]string{
		"no alg": swap(header, `"alg":"EdDSA",`, ""), "alg null": swap(header, `"EdDSA"`, "null"), "alg list": swap(header, `"EdDSA"`, `["EdDSA"]`),
		"alg twice": swap(header, `{`, `{"alg":"none",`), "alg twice, last none": swap(header, `}`, `,"alg":"none"}`),
		"typ JWT": swap(header, "at+jwt", "JWT"), "no typ": swap(header, `,"typ":"at+jwt"`, ""), "typ AT+JWT": swap(header, "at+jwt", "AT+JWT"), "typ application": swap(header, "at+jwt", "application/at+jwt"),
		"crit": swap(header, `}`, `,"crit":["exp"]}`), "b64": swap(header, `}`, `,"b64":false,"crit":["b64"]}`),
		"jku": swap(header, `}`, `,"jku":"https://evil.example/jwks"}`), "x5u": swap(header, `}`, `,"x5u":"https://evil.example/x"}`), "x5c": swap(header, `}`, `,"x5c":["MIIB"]}`),
		"no header": "", "header null": "null", "header list": "[]", "header text": `"EdDSA"`, "header space": header + " ", "header cut": header[:len(header)-1],
	} {
		out["header: "+name] = signed(w.key, h, claims)
	}
	jwk, err := json.Marshal(map[string]string{"kty": "OKP", "crv": "Ed25519", "x": b64(string(stranger.Public().(ed25519.PublicKey)))})
	require.NoError(t, err)
	out["a stranger's jwk"] = signed(stranger, swap(header, `}`, `,"jwk":`+string(jwk)+`}`), claims)
	out["a stranger's key under our kid"] = signed(stranger, header, claims)
	jwks, err := w.JWKS()
	require.NoError(t, err)
	kid := jwks.Keys[0].KeyID
	for _, k := range []string{"", "0", "../../dev/null", "/etc/passwd", "' OR 1=1 --", "x' UNION SELECT secret FROM ustat_keys --", `\u0000`, kid + `\u0000`, strings.ToLower(kid), kid + " ", kid[:42]} {
		out["kid "+k] = signed(stranger, swap(header, kid, k), claims)
		out["kid "+k+", our key"] = signed(w.key, swap(header, kid, k), claims)
	}
	// Claims, well signed.
	now := w.clock.Now().Unix()
	exp, nbf, iat := fmt.Sprintf(`"exp":%d`, now+900), fmt.Sprintf(`"nbf":%d`, now), fmt.Sprintf(`"iat":%d`, now)
	for name, c := range map[string]string{
		"expired": swap(claims, exp, fmt.Sprintf(`"exp":%d`, now-30)), "exp float": swap(claims, exp, fmt.Sprintf(`"exp":%d.5`, now+900)), "exp .0": swap(claims, exp, fmt.Sprintf(`"exp":%d.0`, now+900)),
		"exp e": swap(claims, exp, `"exp":9e9`), "exp negative": swap(claims, exp, `"exp":-1`), "exp 0": swap(claims, exp, `"exp":0`), "exp huge": swap(claims, exp, `"exp":1e300`), "exp overflow": swap(claims, exp, `"exp":9223372036854775808`),
		"exp text": swap(claims, exp, fmt.Sprintf(`"exp":"%d"`, now+900)), "exp null": swap(claims, exp, `"exp":null`), "exp list": swap(claims, exp, `"exp":[9999999999]`), "no exp": swap(claims, exp+",", ""),
		"exp twice": swap(claims, exp, exp+","+exp), "EXP": swap(claims, `"exp"`, `"EXP"`),
		"nbf future": swap(claims, nbf, fmt.Sprintf(`"nbf":%d`, now+31)), "no nbf": swap(claims, nbf+",", ""), "nbf null": swap(claims, nbf, `"nbf":null`),
		"iat future": swap(claims, iat, fmt.Sprintf(`"iat":%d`, now+31)), "no iat": swap(claims, iat+",", ""),
		"iss": swap(claims, `"iss":"ustat"`, `"iss":"evil"`), "no iss": swap(claims, `"iss":"ustat",`, ""), "iss list": swap(claims, `"iss":"ustat"`, `"iss":["ustat"]`), "iss case": swap(claims, `"iss":"ustat"`, `"iss":"Ustat"`), "iss twice": swap(claims, `{`, `{"iss":"evil",`),
		"aud": swap(claims, `"aud":["ustat"]`, `"aud":["evil"]`), "no aud": swap(claims, `"aud":["ustat"],`, ""), "aud empty": swap(claims, `"aud":["ustat"]`, `"aud":[]`), "aud both": swap(claims, `"aud":["ustat"]`, `"aud":["ustat","evil"]`), "aud text": swap(claims, `"aud":["ustat"]`, `"aud":"ustat"`),
		"sub another": swap(claims, `"sub":"anna"`, `"sub":"boss"`), "sub empty": swap(claims, `"sub":"anna",`, ""), "sub twice": swap(claims, `{`, `{"sub":"boss",`), "sub case": swap(claims, `"sub":"anna"`, `"sub":"ANNA"`),
		"ver older": swap(claims, `"ver":1`, `"ver":0`), "ver newer": swap(claims, `"ver":1`, `"ver":2`), "ver text": swap(claims, `"ver":1`, `"ver":"1"`), "no ver": swap(claims, `,"ver":1`, ""), "ver float": swap(claims, `"ver":1`, `"ver":1.0`),
		"role twice": swap(claims, `"role":"student"`, `"role":"student","role":"admin"`), "Role": swap(claims, `}`, `,"Role":"admin"}`), "unknown claim": swap(claims, `}`, `,"scope":"all"}`),
		"sid unknown": swapSID(t, claims, "018f0000-0000-7000-8000-000000000000"), "sid nil": swapSID(t, claims, "00000000-0000-0000-0000-000000000000"), "sid text": swapSID(t, claims, "' OR 1=1 --"), "sid braces": swapSID(t, claims, "{"+sidOf(t, claims)+"}"), "sid upper": swapSID(t, claims, "urn:uuid:"+sidOf(t, claims)),
		"claims null": "null", "claims list": "[]", "claims empty": "{}", "no claims": "", "claims space": claims + " ", "claims cut": claims[:len(claims)-1], "claims twice": claims + claims, "claims deep": strings.Repeat("[", 1000),
	} {
		out["claims: "+name] = signed(w.key, header, c)
	}
	// The form.
	for name, token := range map[string]string{
		"empty": "", "dots": "..", "one dot": ".", "no dot": "x", "a megabyte of dots": strings.Repeat(".", 1<<20), "a megabyte": strings.Repeat("A", 1<<20), "a megabyte in front": strings.Repeat("A", 1<<20) + good,
		"no signature": unsigned + ".", "two parts": unsigned, "four parts": good + ".x", "five parts": "a.b.c.d.e", "signature of zeros": unsigned + "." + b64(strings.Repeat("\x00", 64)),
		"short signature": unsigned + "." + signature[:80], "long signature": good + "AAAA", "padded": good + "==", "line break": good[:20] + "\n" + good[20:], "line break behind": good + "\r\n", "space": " " + good, "Bearer": "Bearer " + good, "NUL": good + "\x00",
		"the refresh token": string(tokens.Refresh), "refresh as signature": unsigned + "." + string(tokens.Refresh), "standard base64": strings.NewReplacer("-", "+", "_", "/").Replace(good) + "+", "JSON": `{"protected":"` + unsigned + `"}`, "parts turned": signature + "." + unsigned,
		"4,097 bytes": good + strings.Repeat("A", 4097-len(good)),
	} {
		out["form: "+name] = token
	}
	return out
}

func sidOf(t testing.TB, claims string) string {
	t.Helper()
	_, rest, ok := strings.Cut(claims, `"sid":"`)
	require.True(t, ok)
	return rest[:36]
}

func swapSID(t testing.TB, claims, sid string) string {
	t.Helper()
	return strings.Replace(claims, sidOf(t, claims), sid, 1)
}

func TestForgedTokensAreRefusedCheaply(t *testing.T) { // not parallel: it counts what the process allocates
	w := newWorld(t, "sqlite")
	w.add(t, "boss", core.Admin)
	w.add(t, "anna", core.Student)
	tokens := w.login(t, "anna", home)
	forged := forgeries(t, w, tokens)
	require.GreaterOrEqual(t, len(forged), 80)
	t.Logf("%d forged tokens", len(forged))
	for name, token := range forged {
		require.NotEqual(t, string(tokens.Access), token, name)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := w.Authenticate(t.Context(), token)
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, accounts.ErrBadToken, name)
		require.Equal(t, core.KindUnauthenticated, core.KindOf(err), name)
		require.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10), name)
	}
	_, err := w.Authenticate(t.Context(), string(tokens.Access))
	require.NoError(t, err, "the good one still is")
}

func TestATokenIsGoodInItsTimeAndALeewayOfHalfAMinute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	w.add(t, "anna", core.Student)
	token := string(w.login(t, "anna", home).Access)
	for _, c := range []struct {
		at   time.Duration
		good bool
	}{{-31 * time.Second, false}, {-30 * time.Second, true}, {0, true}, {15*time.Minute + 29*time.Second, true}, {15*time.Minute + 31*time.Second, false}} {
		w.clock.step(c.at)
		_, err := w.Authenticate(t.Context(), token)
		w.clock.step(-c.at)
		if c.good {
			require.NoError(t, err, c.at)
		} else {
			require.ErrorIs(t, err, accounts.ErrBadToken, c.at)
		}
	}
}

// fuzzWorld is one world for all of a fuzz process.
var fuzzWorld = sync.OnceValues(func() (*world, string) {
	t := &background{}
	w := newWorld(t, "sqlite")
	w.add(t, "anna", core.Student)
	return w, string(w.login(t, "anna", home).Access)
})

// FuzzToken changes one byte of a good token.
func FuzzToken(f *testing.F) {
	_, good := fuzzWorld()
	for i := range good {
		f.Add(i, good[i]^1)
	}
	f.Add(len(good)-1, byte('\n'))
	f.Fuzz(func(t *testing.T, i int, b byte) {
		w, good := fuzzWorld()
		if i < 0 || i >= len(good) || good[i] == b {
			t.Skip()
		}
		if _, err := w.Authenticate(t.Context(), good[:i]+string([]byte{b})+good[i+1:]); err == nil {
			t.Fatalf("byte %d may be %q", i, b)
		}
	})
}

func TestEveryOneByteChangeOfTheLastCharactersIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	w.add(t, "anna", core.Student)
	good := string(w.login(t, "anna", home).Access)
	for i := len(good) - 3; i < len(good); i++ { // where base64 has bits that mean nothing
		for b := range 256 {
			if byte(b) != good[i] {
				_, err := w.Authenticate(t.Context(), good[:i]+string([]byte{byte(b)})+good[i+1:])
				require.ErrorIs(t, err, accounts.ErrBadToken)
			}
		}
	}
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	w.add(t, "anna", core.Student)
	old := w.login(t, "anna", home)
	_, next, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	open := func(keys ...ed25519.PrivateKey) *accounts.Service {
		p, err := ustat.New(w.backend, &ustat.Config{Clock: w.clock, Hasher: w.hasher, TokenKeys: keys, RefreshKey: refreshKey})
		require.NoError(t, err)
		return p.Accounts
	}
	both := open(next, w.key)
	_, err = both.Authenticate(t.Context(), string(old.Access))
	require.NoError(t, err, "the old key still verifies")
	fresh, err := both.Refresh(t.Context(), old.Refresh, home)
	require.NoError(t, err)
	only := open(next)
	_, err = only.Authenticate(t.Context(), string(fresh.Access))
	require.NoError(t, err, "the first key signs")
	_, err = only.Authenticate(t.Context(), string(old.Access))
	require.ErrorIs(t, err, accounts.ErrBadToken)

	jwks, err := both.JWKS()
	require.NoError(t, err)
	require.Len(t, jwks.Keys, 2)
	for i, key := range []ed25519.PrivateKey{next, w.key} {
		x, err := base64.RawURLEncoding.DecodeString(jwks.Keys[i].X)
		require.NoError(t, err)
		require.Equal(t, key.Public(), ed25519.PublicKey(x))
	}
	text, err := json.Marshal(jwks)
	require.NoError(t, err)
	require.NotContains(t, string(text), b64(string(next.Seed())))
}

func TestWeakKeysAreRefused(t *testing.T) {
	t.Parallel()
	seed := func(text string) ed25519.PrivateKey {
		raw, err := hex.DecodeString(text)
		require.NoError(t, err)
		return ed25519.NewKeyFromSeed(raw)
	}
	steps := make([]byte, 32)
	for i := range steps {
		steps[i] = byte(i)
	}
	torn := append(append(ed25519.PrivateKey{}, tokenKey[:32]...), seed(strings.Repeat("01", 31) + "02")[32:]...)
	for name, keys := range map[string][]ed25519.PrivateKey{
		"none": {}, "short": {tokenKey[:32]}, "zeros": {ed25519.NewKeyFromSeed(make([]byte, 32))}, "one byte": {seed(strings.Repeat("42", 32))}, "steps": {ed25519.NewKeyFromSeed(steps)},
		"RFC 8032 test 1": {seed("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")}, "RFC 8032 test 2": {tokenKey, seed("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")},
		"another's public half": {torn}, "twice": {tokenKey, tokenKey}, "too many": make([]ed25519.PrivateKey, accounts.MaxTokenKeys+1),
	} {
		require.ErrorIs(t, new(accounts.Keyring).SetTokenKeys(keys), core.ErrInvalid, name)
	}
	for _, key := range [][]byte{nil, []byte("short"), make([]byte, 32)} {
		require.ErrorIs(t, new(accounts.Keyring).SetRefreshKey(key), core.ErrInvalid)
	}
}

func TestTheRFCsKeysAreWhatTheyAreTakenFor(t *testing.T) {
	t.Parallel()
	raw, err := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	require.NoError(t, err)
	public := ed25519.NewKeyFromSeed(raw).Public().(ed25519.PublicKey)
	require.Equal(t, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", hex.EncodeToString(public))
}

func TestBeforeStartThereAreNoTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	w.add(t, "anna", core.Student)
	tokens := w.login(t, "anna", home)
	p, err := ustat.New(w.backend, &ustat.Config{Hasher: w.hasher})
	require.NoError(t, err)
	_, err = p.Accounts.Login(t.Context(), accounts.Credentials{Login: "anna", Password: secret}, home)
	require.ErrorIs(t, err, core.ErrUnavailable)
	_, err = p.Accounts.Register(t.Context(), accounts.Registration{Username: "boris", Email: "b@example.org", Password: secret}, home)
	require.ErrorIs(t, err, core.ErrUnavailable)
	_, err = p.Accounts.Refresh(t.Context(), tokens.Refresh, home)
	require.ErrorIs(t, err, core.ErrUnavailable)
	_, err = p.Accounts.Authenticate(t.Context(), string(tokens.Access))
	require.ErrorIs(t, err, core.ErrUnavailable)
	_, err = p.Accounts.JWKS()
	require.ErrorIs(t, err, core.ErrUnavailable)
}
