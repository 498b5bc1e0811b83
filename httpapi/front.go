package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"

	"github.com/ustat/ustat/core"
)

// maxQuery is how many bytes the query of a URL may have.
const maxQuery = 8 << 10

// ServeHTTP is what every request passes before it is routed.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	// Answers depend on who asks, and change at any time.
	h.Set("Cache-Control", "private, no-cache")
	r = a.negotiate(w, r, "")
	defer a.recoverPanic(w, r)

	if p := a.refuse(r); p != nil {
		a.writeProblem(w, r, p)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.options.Timeout)
	defer cancel()
	r = r.WithContext(ctx)
	r.URL = withoutSlash(r.URL)
	if !isClean(r.URL) {
		// The mux would redirect to the clean path.
		a.notFound(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// refuse returns what makes a request unfit whatever it asks for, or nil.
func (a *api) refuse(r *http.Request) *Problem {
	switch {
	case len(r.URL.RawQuery) > maxQuery:
		return tooLong("query", maxQuery)
	case !core.ValidText(r.URL.Path):
		p := newProblem(http.StatusBadRequest, "bad_path", "the path is not valid UTF-8, or it has a NUL byte")
		p.Errors = []FieldProblem{{Field: "path", Code: "text"}}
		return p
	}
	return nil
}

// withoutSlash returns u without one trailing slash of its path. An escaped slash
// at the end belongs to the last segment and stays.
func withoutSlash(u *url.URL) *url.URL {
	escaped := u.RawPath
	if escaped == "" {
		escaped = u.Path
	}
	if len(escaped) < 2 || escaped[len(escaped)-1] != '/' || len(u.Path) < 2 {
		return u
	}
	trimmed := *u
	trimmed.Path = strings.TrimSuffix(u.Path, "/")
	trimmed.RawPath = strings.TrimSuffix(u.RawPath, "/")
	return &trimmed
}

// isClean reports whether the mux takes the path as it is: rooted, without empty
// segments and dots.
func isClean(u *url.URL) bool {
	escaped := u.EscapedPath()
	return strings.HasPrefix(escaped, "/") && path.Clean(escaped) == escaped
}

// recoverPanic answers a panic with an internal problem and logs it with its
// stack. http.ErrAbortHandler goes on to the server, which understands it.
func (a *api) recoverPanic(w http.ResponseWriter, r *http.Request) {
	reason := recover()
	if reason == nil {
		return
	}
	if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(reason)
	}
	p := internalProblem()
	a.options.Logger.ErrorContext(r.Context(), "panic", "method", r.Method, "path", r.URL.Path,
		"instance", p.Instance, "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
	a.writeProblem(w, r, p)
}
