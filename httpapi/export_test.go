package httpapi

import "net/http"

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
