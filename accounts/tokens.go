package accounts

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// Tokens are what a sign-in gives.
type Tokens struct {
	Access    core.Secret   // a JWT, for Authenticate
	Refresh   core.Secret   // opaque, for Refresh and Logout
	ExpiresIn time.Duration // of Access
}

// JWKS is the set of public keys that access tokens are verified by (RFC 7517).
type JWKS struct {
	Keys []JWK `json:"keys"`
}

// JWK is one public key of Ed25519 (RFC 8037).
type JWK struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	KeyID     string `json:"kid"` // the thumbprint of RFC 7638
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
}

// MaxTokenKeys bounds the keys of a Keyring.
const MaxTokenKeys = 16

// Keyring holds the keys of tokens. The zero Keyring has none, and everything that
// needs one is core.ErrUnavailable until SetTokenKeys and SetRefreshKey; it is safe
// for concurrent use.
type Keyring struct {
	signing atomic.Pointer[signingKeys]
	refresh atomic.Pointer[[]byte]
}

type signingKeys struct {
	first ed25519.PrivateKey
	// verify has a public key by the header of its tokens, byte for byte: so neither
	// the algorithm nor the key is a token's to choose.
	verify map[string]ed25519.PublicKey
	jwks   JWKS
}

// SetTokenKeys gives the keys of access tokens: the first signs, all verify. One
// that is weak or publicly known, and more than MaxTokenKeys, is core.ErrInvalid.
func (k *Keyring) SetTokenKeys(keys []ed25519.PrivateKey) error {
	if len(keys) == 0 || len(keys) > MaxTokenKeys {
		return core.Invalid("token keys", "range", "1-"+strconv.Itoa(MaxTokenKeys), strconv.Itoa(len(keys)), "1 to 16 keys are expected")
	}
	set := &signingKeys{verify: map[string]ed25519.PublicKey{}}
	for i, key := range keys {
		field := "token keys[" + strconv.Itoa(i) + "]"
		if err := checkTokenKey(field, key); err != nil {
			return err
		}
		public := key.Public().(ed25519.PublicKey)
		jwk := newJWK(public)
		header, err := json.Marshal(map[string]string{"alg": jwk.Algorithm, "kid": jwk.KeyID, "typ": tokenType})
		if err != nil {
			return core.ErrInternal.Because(err)
		}
		encoded := base64.RawURLEncoding.EncodeToString(header)
		if _, twice := set.verify[encoded]; twice {
			return core.Invalid(field, "unique", "", "", "the key is there twice")
		}
		set.verify[encoded] = public
		set.jwks.Keys = append(set.jwks.Keys, jwk)
	}
	set.first = bytes.Clone(keys[0])
	k.signing.Store(set)
	return nil
}

// RefreshKeySize is the least length of the refresh key in bytes.
const RefreshKeySize = 32

// SetRefreshKey gives the secret by which the successor of a refresh token is
// derived. core.CheckKey says which ones are refused.
func (k *Keyring) SetRefreshKey(key []byte) error {
	if err := core.CheckKey("refresh key", key, RefreshKeySize); err != nil {
		return err
	}
	key = bytes.Clone(key)
	k.refresh.Store(&key)
	return nil
}

func (k *Keyring) ready() error {
	if k.signing.Load() == nil || k.refresh.Load() == nil {
		return core.ErrUnavailable.Withf("the platform has not been started: tokens have no keys yet")
	}
	return nil
}

// knownSeeds are the secret keys of RFC 8032, section 7, which examples are made
// with.
var knownSeeds = []string{
	"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	"f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
	"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
	"0305334e381af78f141cb666f6199f57bc3495335a256a95bd2a55bf546663f6",
	"ab9c2853ce297ddab85c993b3ae14bcad39b2c682beabc27d6d4eb20711d6560",
}

func checkTokenKey(field string, key ed25519.PrivateKey) error {
	if len(key) != ed25519.PrivateKeySize {
		return core.Invalid(field, "len", "64 bytes", strconv.Itoa(len(key))+" bytes", "an Ed25519 private key has 64 bytes")
	}
	seed := key.Seed()
	if err := core.CheckKey(field, seed, ed25519.SeedSize); err != nil {
		return err
	}
	if !key.Equal(ed25519.NewKeyFromSeed(seed)) {
		return core.Invalid(field, "pair", "", "", "the public half is not of this private key")
	}
	steps := true // 0, 1, 2, …: a key of examples
	for i := range seed[1:] {
		steps = steps && seed[i+1] == seed[i]+1
	}
	for _, known := range knownSeeds {
		steps = steps || hex.EncodeToString(seed) == known
	}
	if steps {
		return core.Invalid(field, "weak", "", "", "the key is publicly known: take random ones")
	}
	return nil
}

func newJWK(public ed25519.PublicKey) JWK {
	x := base64.RawURLEncoding.EncodeToString(public)
	thumbprint := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
	return JWK{"OKP", "Ed25519", x, base64.RawURLEncoding.EncodeToString(thumbprint[:]), "EdDSA", "sig"}
}

// JWKS returns the public keys of access tokens, or core.ErrUnavailable before the
// platform is started.
func (s *Service) JWKS() (JWKS, error) {
	keys := s.keys.signing.Load()
	if keys == nil {
		return JWKS{}, s.keys.ready()
	}
	return JWKS{append([]JWK(nil), keys.jwks.Keys...)}, nil
}

const (
	tokenType    = "at+jwt" // RFC 9068
	maxToken     = 4 << 10  // bytes
	tokenLeeway  = 30 * time.Second
	refreshBytes = 32
)

// claims of an access token (RFC 9068). Subject is the username.
type claims struct {
	jwt.RegisteredClaims
	Role        core.Role `json:"role"`
	Session     uuid.UUID `json:"sid"`
	AuthVersion int64     `json:"ver"`
}

// issue returns the tokens of a session.
func (s *Service) issue(session uuid.UUID, u User, refresh core.Secret) (Tokens, error) {
	keys := s.keys.signing.Load()
	if keys == nil {
		return Tokens{}, s.keys.ready()
	}
	now := s.clock.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: s.issuer, Subject: u.Username, Audience: jwt.ClaimStrings{s.audience},
			ExpiresAt: jwt.NewNumericDate(now.Add(s.accessTTL)), NotBefore: jwt.NewNumericDate(now), IssuedAt: jwt.NewNumericDate(now),
		},
		Role: u.Role, Session: session, AuthVersion: u.AuthVersion,
	})
	token.Header["kid"], token.Header["typ"] = keys.jwks.Keys[0].KeyID, tokenType
	signed, err := token.SignedString(keys.first)
	if err != nil {
		return Tokens{}, core.ErrInternal.Because(err)
	}
	return Tokens{core.Secret(signed), refresh, s.accessTTL}, nil
}

// parse returns the claims of an access token of ours that is in time.
func (s *Service) parse(token string) (claims, error) {
	keys := s.keys.signing.Load()
	if keys == nil {
		return claims{}, s.keys.ready()
	}
	if len(token) > maxToken || !isCompact(token) {
		return claims{}, ErrBadToken
	}
	header, rest, _ := strings.Cut(token, ".")
	key, ok := keys.verify[header]
	if !ok {
		return claims{}, ErrBadToken
	}
	var c claims
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(), jwt.WithLeeway(tokenLeeway),
		jwt.WithIssuer(s.issuer), jwt.WithAudience(s.audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithTimeFunc(s.clock.Now),
	).ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return key, nil })
	if err != nil {
		return claims{}, ErrBadToken.Because(err)
	}
	if c.NotBefore == nil || c.IssuedAt == nil || len(c.Audience) != 1 || !isAsWritten(c, rest) {
		return claims{}, ErrBadToken
	}
	return c, nil
}

// isAsWritten reports whether the claims of a token are what issue writes, byte for
// byte: none twice, none unknown or in another case, no fractions.
func isAsWritten(c claims, rest string) bool {
	body, _, _ := strings.Cut(rest, ".")
	again, err := json.Marshal(c)
	return err == nil && base64.RawURLEncoding.EncodeToString(again) == body
}

// isCompact reports whether a token is three parts of base64url, which encoding/base64
// alone does not: it skips line breaks.
func isCompact(token string) bool {
	dots := 0
	for i := range len(token) {
		switch c := token[i]; {
		case c == '.':
			dots++
		case c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z'):
			return false
		}
	}
	return dots == 2
}

func newRefreshToken() []byte {
	raw := make([]byte, refreshBytes)
	rand.Read(raw)
	return raw
}

func encodeRefreshToken(raw []byte) core.Secret {
	return core.Secret(base64.RawURLEncoding.EncodeToString(raw))
}

// decodeRefreshToken returns the bytes of a refresh token, or ErrBadToken.
func decodeRefreshToken(token core.Secret) ([]byte, error) {
	if len(token) != base64.RawURLEncoding.EncodedLen(refreshBytes) {
		return nil, ErrBadToken
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(string(token))
	if err != nil || len(raw) != refreshBytes {
		return nil, ErrBadToken
	}
	return raw, nil
}

// successor returns the token that follows another, which is always the same one:
// who asks again because an answer was lost gets it again.
func (k *Keyring) successor(raw []byte) []byte {
	mac := hmac.New(sha256.New, *k.refresh.Load())
	mac.Write(raw)
	return mac.Sum(nil)
}
