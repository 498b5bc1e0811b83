// Package signed writes and reads callbacks of payments that are signed with
// HMAC-SHA256: the event is JSON, and the header [Header] holds when it was sent and
// the signature of that time, a point and the raw body:
//
//	Ustat-Signature: t=1767225600,v1=5257a869…
//
// A callback that was altered, signed with another key, or sent more than [Window] ago
// is refused.
package signed

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

const (
	// Header is the canonical name of the header with the signature.
	Header = "Ustat-Signature"
	// Window is how far the time of a callback may be from now, before or after.
	Window = 5 * time.Minute
	// MaxBody is how many bytes a callback may have.
	MaxBody = 64 << 10
	// MaxKeys is how many keys may be in use at once.
	MaxKeys = 8
	// MinKey is the least length of a key in bytes.
	MinKey = 32
)

// Keys are the secrets of a provider's callbacks: the first signs, all verify, so that
// keys can be rotated. They are safe for concurrent use.
type Keys struct{ keys [][]byte }

// NewKeys returns Keys of 1 to MaxKeys secrets of at least MinKey bytes. Others, and
// what core.CheckKey calls weak, are core.ErrInvalid.
func NewKeys(keys ...[]byte) (*Keys, error) {
	if len(keys) < 1 || len(keys) > MaxKeys {
		return nil, core.Invalid("Keys", "range", "1-"+strconv.Itoa(MaxKeys), strconv.Itoa(len(keys)), "1 to 8 keys are expected")
	}
	k := &Keys{}
	for i, key := range keys {
		if err := core.CheckKey(fmt.Sprintf("Keys[%d]", i), key, MinKey); err != nil {
			return nil, err
		}
		k.keys = append(k.keys, bytes.Clone(key))
	}
	return k, nil
}

// event is the body of a callback.
type event struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Payment Payment   `json:"payment"`
}

// Payment is a payment as JSON has it.
type Payment struct {
	ID          string    `json:"id"`
	Order       uuid.UUID `json:"order"`
	State       string    `json:"state"` // pending, paid, failed or refunded
	AmountMinor int64     `json:"amount_minor"`
	Currency    string    `json:"currency"`
	URL         string    `json:"url,omitempty"`
}

// PaymentOf returns what JSON shows of a payment.
func PaymentOf(p courses.Payment) Payment {
	return Payment{p.ID, p.Order, string(p.State), p.Amount.Minor, p.Amount.Currency, p.URL}
}

// Payment returns the payment, or core.ErrInvalid where its id, state or amount is
// none.
func (p Payment) Payment() (courses.Payment, error) {
	state := courses.PaymentState(p.State)
	switch state {
	case courses.PaymentPending, courses.PaymentPaid, courses.PaymentFailed, courses.PaymentRefunded:
	default:
		return courses.Payment{}, core.Invalid("state", "oneof", "pending paid failed refunded", p.State, "there is no such state of a payment")
	}
	if len(p.ID) < 1 || len(p.ID) > 255 || !core.ValidText(p.ID) {
		return courses.Payment{}, core.Invalid("id", "range", "1-255", p.ID, "a payment has an id of 1 to 255 bytes")
	}
	if len(p.Currency) != 3 || p.AmountMinor < 0 {
		return courses.Payment{}, core.Invalid("amount_minor", "min", "0", fmt.Sprint(p.AmountMinor, " ", p.Currency), "an amount of a currency is expected")
	}
	return courses.Payment{
		ID: p.ID, Order: p.Order, State: state, Amount: core.Money{Minor: p.AmountMinor, Currency: p.Currency}, URL: p.URL,
	}, nil
}

// Seal returns the header and the body of a callback that is sent at a time.
func (k *Keys) Seal(e courses.PaymentEvent, sent time.Time) (header map[string][]string, body []byte, err error) {
	body, err = json.Marshal(event{e.ID, e.At.UTC(), PaymentOf(e.Payment)})
	if err != nil {
		return nil, nil, core.ErrInternal.Because(err)
	}
	stamp := strconv.FormatInt(sent.Unix(), 10)
	return map[string][]string{Header: {"t=" + stamp + ",v1=" + hex.EncodeToString(mac(k.keys[0], stamp, body))}}, body, nil
}

func mac(key []byte, stamp string, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(stamp + "."))
	h.Write(body)
	return h.Sum(nil)
}

// Open reads a callback, or fails with courses.ErrCallback. The names of the headers
// are canonical.
func (k *Keys) Open(header map[string][]string, body []byte, now time.Time) (courses.PaymentEvent, error) {
	if err := k.verify(header, body, now); err != nil {
		return courses.PaymentEvent{}, courses.ErrCallback.Because(err)
	}
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		return courses.PaymentEvent{}, courses.ErrCallback.Because(err)
	}
	payment, err := e.Payment.Payment()
	if err == nil && (len(e.ID) < 1 || len(e.ID) > 255 || !core.ValidText(e.ID)) {
		err = core.Invalid("id", "range", "1-255", e.ID, "an event has an id of 1 to 255 bytes")
	}
	if err != nil {
		return courses.PaymentEvent{}, courses.ErrCallback.Because(err)
	}
	return courses.PaymentEvent{ID: e.ID, Payment: payment, At: core.Time(e.At)}, nil
}

// verify looks at every key, however early one fits.
func (k *Keys) verify(header map[string][]string, body []byte, now time.Time) error {
	if len(body) > MaxBody || len(header[Header]) != 1 {
		return fmt.Errorf("at most %d bytes with one %s are expected", MaxBody, Header)
	}
	stamp, signature, ok := strings.Cut(header[Header][0], ",v1=")
	stamp, timed := strings.CutPrefix(stamp, "t=")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if !ok || !timed || err != nil {
		return fmt.Errorf("%s is not t=…,v1=…", Header)
	}
	given, err := hex.DecodeString(signature)
	if err != nil {
		return err
	}
	fits := false
	for _, key := range k.keys {
		fits = hmac.Equal(mac(key, stamp, body), given) || fits
	}
	switch age := now.Sub(time.Unix(seconds, 0)); {
	case !fits:
		return fmt.Errorf("the signature is of none of the keys")
	case age > Window || age < -Window:
		return fmt.Errorf("it was sent %s ago", age)
	}
	return nil
}
