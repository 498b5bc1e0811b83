package fake

import (
	"context"
	"html/template"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/ustat/ustat/courses"
)

var page = template.Must(template.New("pay").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Payment</title>
<h1>{{.Amount}}</h1>
<p>{{.Description}}</p>
{{if eq .State "pending"}}<form method="post">
<button name="do" value="pay">Pay</button>
<button name="do" value="decline">Decline</button>
</form>{{else}}<p>The payment is {{.State}}.</p>{{end}}
{{if .Back}}<p><a href="{{.Back}}">Back to the course</a></p>{{end}}
<p><small>This is a demonstration: no money is moved.</small></p>
</html>
`))

// Page is the page where one pays or declines: its path ends with the id of an order,
// as Config.PayURL has it. Deliver is handed the signed callback; a failure of it is
// logged by nobody, as with a provider whose callback is lost. Whoever knows the id of
// an order may pay it: it is for demonstrations.
func (p *Provider) Page(deliver func(ctx context.Context, header map[string][]string, body []byte) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimSuffix(r.URL.Path, "/")
		order, err := uuid.Parse(path[strings.LastIndexByte(path, '/')+1:])
		if err != nil {
			http.NotFound(w, r)
			return
		}
		if r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(w, r.Body, 1<<10)
			event, err := p.Settle(order, r.PostFormValue("do") == "pay")
			if err != nil {
				http.NotFound(w, r)
				return
			}
			if header, body, err := p.Seal(event); err == nil {
				_ = deliver(r.Context(), header, body)
			}
		}
		p.show(w, r, order)
	})
}

func (p *Provider) show(w http.ResponseWriter, r *http.Request, order uuid.UUID) {
	p.mu.Lock()
	there := p.payments[order]
	var view struct {
		Amount, Description, Back string
		State                     courses.PaymentState
	}
	if there != nil {
		view.Amount, view.Description, view.Back, view.State = there.Amount.String(), there.description, there.returnURL, there.State
	}
	p.mu.Unlock()
	if there == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'")
	_ = page.Execute(w, view) // an error is a client that has gone
}
