// Package httppay is a provider of payments behind a small protocol of JSON over HTTP:
//
//	PUT  {base}/payments/{order}          {"amount_minor", "currency", "description", "email", "return_url", "expires_at"}
//	GET  {base}/payments/{order}
//	POST {base}/payments/{order}/refund
//
// Each is known by the id of the order, so that it can be sent again, and answers with
// the payment: {"id", "order", "state", "amount_minor", "currency", "url"}; 404 where
// there is none. The request carries a Bearer token. Callbacks are those of package
// signed. [Handler] is the other side of it, over any provider: a program of its own
// that speaks with a bank can serve it.
package httppay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/signed"
)

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 64 << 10

// Config is what a Provider is made of.
type Config struct {
	// Name is the provider's name. Empty means "http".
	Name string
	// URL is the base of the protocol's paths, of http or https.
	URL string
	// Token is the Bearer token of the requests.
	Token core.Secret
	// Keys verify the callbacks.
	Keys *signed.Keys
	// Client sends the requests. Nil means one that gives up after 10 s and follows no
	// redirects.
	Client *http.Client
	// Clock tells the time. Nil means the machine's.
	Clock core.Clock
}

// Provider implements courses.Payments. It is safe for concurrent use. A server that
// is away, slow, or answers with 5xx or what is no payment is core.ErrUnavailable; one
// that refuses is core.ErrFailedPrecondition.
type Provider struct{ config Config }

// New returns a Provider. URL, Token and Keys are required.
func New(c Config) (*Provider, error) {
	base, err := url.Parse(c.URL)
	switch {
	case err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || base.RawQuery != "":
		return nil, core.Invalid("URL", "url", "", c.URL, "the address of the provider is expected")
	case c.Token == "":
		return nil, core.Invalid("Token", "required", "", "", "a token is needed")
	case c.Keys == nil:
		return nil, core.Invalid("Keys", "required", "", "", "keys of the callbacks are needed")
	}
	c.URL = strings.TrimSuffix(c.URL, "/")
	c.Name = cmp.Or(c.Name, "http")
	c.Clock = cmp.Or[core.Clock](c.Clock, core.SystemClock{})
	if c.Client == nil {
		c.Client = &http.Client{
			Timeout:       10 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &Provider{c}, nil
}

// Name implements courses.Payments.
func (p *Provider) Name() string { return p.config.Name }

// order is the body of the request that creates a payment.
type order struct {
	AmountMinor int64     `json:"amount_minor"`
	Currency    string    `json:"currency"`
	Description string    `json:"description"`
	Email       string    `json:"email"`
	ReturnURL   string    `json:"return_url"`
	ExpiresAt   time.Time `json:"expires_at"`
}

// Create implements courses.Payments.
func (p *Provider) Create(ctx context.Context, in courses.PaymentRequest) (courses.Payment, error) {
	return p.send(ctx, http.MethodPut, in.Order, "", order{in.Amount.Minor, in.Amount.Currency, in.Description, in.Email, in.ReturnURL, in.ExpiresAt})
}

// Find implements courses.Payments.
func (p *Provider) Find(ctx context.Context, order uuid.UUID) (courses.Payment, error) {
	return p.send(ctx, http.MethodGet, order, "", nil)
}

// Refund implements courses.Payments. An answer whose state is not "refunded" is
// core.ErrUnavailable: it is asked for again until it is.
func (p *Provider) Refund(ctx context.Context, what courses.Payment) error {
	now, err := p.send(ctx, http.MethodPost, what.Order, "/refund", nil)
	if err == nil && now.State != courses.PaymentRefunded {
		err = unavailable(fmt.Errorf("the payment is %q after it was to be refunded", now.State))
	}
	return err
}

// Callback implements courses.Payments.
func (p *Provider) Callback(_ context.Context, header map[string][]string, body []byte) (courses.PaymentEvent, error) {
	return p.config.Keys.Open(header, body, p.config.Clock.Now())
}

func (p *Provider) send(ctx context.Context, method string, id uuid.UUID, action string, in any) (courses.Payment, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return courses.Payment{}, core.ErrInternal.Because(err)
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, p.config.URL+"/payments/"+id.String()+action, body)
	if err != nil {
		return courses.Payment{}, core.ErrInternal.Because(err)
	}
	request.Header.Set("Authorization", "Bearer "+string(p.config.Token))
	request.Header.Set("Content-Type", "application/json")
	response, err := p.config.Client.Do(request)
	if err != nil {
		return courses.Payment{}, unavailable(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return courses.Payment{}, unavailable(err)
	}
	switch code := response.StatusCode; {
	case code == http.StatusNotFound:
		return courses.Payment{}, courses.ErrPaymentNotFound
	case code >= 400 && code < 500 && code != http.StatusTooManyRequests && code != http.StatusRequestTimeout:
		return courses.Payment{}, core.ErrFailedPrecondition.Withf("the provider of payments refuses this with %d", code)
	case code != http.StatusOK:
		return courses.Payment{}, unavailable(fmt.Errorf("it answers with %d", code))
	case len(text) > maxAnswer:
		return courses.Payment{}, unavailable(errors.New("its answer is too long"))
	}
	return read(text, id)
}

// read reads a payment that must be of an order.
func read(text []byte, id uuid.UUID) (courses.Payment, error) {
	var answer signed.Payment
	if err := json.Unmarshal(text, &answer); err != nil {
		return courses.Payment{}, unavailable(err)
	}
	payment, err := answer.Payment()
	if err == nil && payment.Order != id {
		err = errors.New("its answer is about another order")
	}
	if err != nil {
		return courses.Payment{}, unavailable(err)
	}
	return payment, nil
}

func unavailable(cause error) error {
	return core.ErrUnavailable.Withf("the provider of payments does not answer").Because(cause)
}

var _ courses.Payments = (*Provider)(nil)
