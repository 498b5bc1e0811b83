package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/i18n"
)

// Unencodable is an API with an operation, GET /broken/, whose answer has a time that
// JSON has no text for.
func Unencodable(opts *Options) (http.Handler, error) {
	options, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	messages, err := i18n.NewCatalog(nil)
	if err != nil {
		return nil, err
	}
	a := newAPI(&ustat.Platform{Messages: messages}, options)
	type view struct {
		At time.Time `json:"at"`
	}
	get(a, route{nobody: true, path: "/broken/", id: "broken", tag: "test"}, func(context.Context, *call) (view, error) {
		return view{time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}, nil
	})
	return a, nil
}

// ReadBody is what operations read their input with.
func ReadBody(r *http.Request, limit int64, input any) error {
	return readBody(r, limit, input, "application/json")
}

// Operation is an entry of the table of routes.
type Operation struct{ ID, Method, Path string }

// Operations returns the table of routes of v1.
func Operations() []Operation {
	var all []Operation
	for _, rt := range newAPI(nil, Options{}).routes {
		all = append(all, Operation{rt.id, rt.method, rt.path})
	}
	return all
}
