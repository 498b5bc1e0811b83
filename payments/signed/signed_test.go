package signed_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/signed"
)

var (
	now   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	event = courses.PaymentEvent{ID: "e-1", At: now, Payment: courses.Payment{
		ID: "p-1", Order: uuid.MustParse("01980000-0000-7000-8000-000000000001"), State: courses.PaymentPaid,
		Amount: core.Money{Minor: 199900, Currency: "RUB"},
	}}
)

func key(name string) []byte { return []byte(strings.Repeat(name+"-", 32)[:32]) }

func keys(t testing.TB, names ...string) *signed.Keys {
	t.Helper()
	var list [][]byte
	for _, name := range names {
		list = append(list, key(name))
	}
	k, err := signed.NewKeys(list...)
	require.NoError(t, err)
	return k
}

// The signature is written down, so that it is the same for ever.
func TestTheSignatureIsOfTheTimeAndTheRawBody(t *testing.T) {
	t.Parallel()
	header, body, err := keys(t, "old").Seal(event, now)
	require.NoError(t, err)
	require.Equal(t, `{"id":"e-1","at":"2026-03-01T12:00:00Z","payment":{"id":"p-1","order":"01980000-0000-7000-8000-000000000001","state":"paid","amount_minor":199900,"currency":"RUB"}}`, string(body))
	require.Equal(t, map[string][]string{"Ustat-Signature": {"t=1772366400,v1=790cbe2a4d49a7ed54af9581d133f28946f440eeef3900d50b0e494b2a9deaab"}}, header)
}

func TestAllKeysVerifyAndTheFirstSigns(t *testing.T) {
	t.Parallel()
	old, rotated, next := keys(t, "old"), keys(t, "new", "old"), keys(t, "new")
	opens := func(by, with *signed.Keys) bool {
		header, body, err := by.Seal(event, now)
		require.NoError(t, err)
		got, err := with.Open(header, body, now)
		if err != nil {
			require.ErrorIs(t, err, courses.ErrCallback)
			return false
		}
		require.Equal(t, event, got)
		return true
	}
	require.True(t, opens(old, rotated))
	require.True(t, opens(rotated, next))
	require.False(t, opens(old, next))
	require.False(t, opens(rotated, old))
}

func TestBadKeysAreRefused(t *testing.T) {
	t.Parallel()
	for _, list := range [][][]byte{nil, {key("a")[:31]}, {key("a"), bytes.Repeat([]byte("a"), 32)}, make([][]byte, 9)} {
		_, err := signed.NewKeys(list...)
		require.ErrorIs(t, err, core.ErrInvalid)
	}
}

func TestWhatIsSignedAndNoEventIsRefused(t *testing.T) {
	t.Parallel()
	k := keys(t, "old")
	for name, spoil := range map[string]func(e *courses.PaymentEvent){
		"no id of the event":   func(e *courses.PaymentEvent) { e.ID = "" },
		"a long id":            func(e *courses.PaymentEvent) { e.ID = strings.Repeat("x", 256) },
		"no id of the payment": func(e *courses.PaymentEvent) { e.Payment.ID = "" },
		"an unknown state":     func(e *courses.PaymentEvent) { e.Payment.State = "dancing" },
		"a negative amount":    func(e *courses.PaymentEvent) { e.Payment.Amount.Minor = -1 },
		"no currency":          func(e *courses.PaymentEvent) { e.Payment.Amount.Currency = "" },
		"a NUL":                func(e *courses.PaymentEvent) { e.ID = "a\x00b" },
		"too much":             func(e *courses.PaymentEvent) { e.Payment.URL = strings.Repeat("x", signed.MaxBody) },
	} {
		e := event
		spoil(&e)
		header, body, err := k.Seal(e, now)
		require.NoError(t, err)
		_, err = k.Open(header, body, now)
		require.ErrorIs(t, err, courses.ErrCallback, name)
	}
	header, body, err := k.Seal(event, now)
	require.NoError(t, err)
	header[signed.Header] = append(header[signed.Header], header[signed.Header]...)
	_, err = k.Open(header, body, now)
	require.ErrorIs(t, err, courses.ErrCallback, "two signatures")
}

func FuzzOpen(f *testing.F) {
	k, err := signed.NewKeys(key("old"))
	require.NoError(f, err)
	header, body, err := k.Seal(event, now)
	require.NoError(f, err)
	f.Add(header[signed.Header][0], body)
	f.Add("t=,v1=", []byte("{}"))
	f.Fuzz(func(t *testing.T, signature string, text []byte) {
		_, err := k.Open(map[string][]string{signed.Header: {signature}}, text, now)
		if err == nil && !(strings.EqualFold(signature, header[signed.Header][0]) && bytes.Equal(text, body)) {
			t.Fatalf("taken: %q %q", signature, text)
		}
	})
}
