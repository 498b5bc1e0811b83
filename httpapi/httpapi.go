// Package httpapi serves a [ustat.Platform] over HTTP: the resources of v1 under
// /api/v1, their OpenAPI 3.1 document at /api/v1/openapi.json, an offline page of
// documentation at /api/v1/docs/, and /healthz and /readyz.
//
//	handler, err := httpapi.New(platform, nil)
//	err = httpapi.Server(":8080", handler).ListenAndServe()
//
// Every path is served with and without its trailing slash, without a redirect.
// Every error is an application/problem+json [Problem], also for unknown paths and
// methods. A parameter that is unknown, repeated, empty or malformed is refused,
// never ignored.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/core"
)

// Prefix is the path under which v1 is served.
const Prefix = "/api/v1"

// The defaults of Options.
const (
	DefaultMaxBody = 64 << 10
	DefaultMaxText = 1 << 20
	DefaultTimeout = 30 * time.Second
)

// Options sets what differs from the defaults. Nil Options are all defaults.
type Options struct {
	// Actor tells who makes a request. An error that is no *core.Error is a fault
	// of the server. Nil means the Bearer token that a login gave, and nobody where
	// there is none.
	Actor func(*http.Request) (core.Actor, error)
	// Logger gets internal errors with their causes, and panics. Nil means silence.
	Logger *slog.Logger
	// Client tells the address that a request comes from; attempts to log in are
	// limited by it. Nil means PeerAddr. Behind a proxy, read the header that this
	// very proxy sets, and no other.
	Client func(*http.Request) netip.Addr
	// MaxBody is how many bytes the body of a request may have. Zero means
	// DefaultMaxBody.
	MaxBody int64
	// MaxText is the same for operations that take rich text. Zero means
	// DefaultMaxText.
	MaxText int64
	// Timeout is how long one request may take; then it is answered with 503. Zero
	// means DefaultTimeout.
	Timeout time.Duration
}

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.MaxBody < 0 {
		return out, core.Invalid("MaxBody", "min", "0", strconv.FormatInt(out.MaxBody, 10), "a body has no negative size")
	}
	if out.Timeout < 0 {
		return out, core.Invalid("Timeout", "min", "0", out.Timeout.String(), "a request takes no negative time")
	}
	if out.MaxText < 0 {
		return out, core.Invalid("MaxText", "min", "0", strconv.FormatInt(out.MaxText, 10), "a body has no negative size")
	}
	if out.MaxBody == 0 {
		out.MaxBody = DefaultMaxBody
	}
	if out.MaxText == 0 {
		out.MaxText = DefaultMaxText
	}
	if out.Timeout == 0 {
		out.Timeout = DefaultTimeout
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	if out.Client == nil {
		out.Client = PeerAddr
	}
	return out, nil
}

// api is the handler that New returns. Its fields are set once, before it serves.
type api struct {
	platform *ustat.Platform
	options  Options
	mux      *http.ServeMux
	huma     huma.API
	problem  *huma.Schema // of Problem
	encoders sync.Pool    // of *encoder
	routes   []route      // in the order of their registration
	validate *core.Validator
}

// New returns the handler of a platform. It does no I/O; the platform may be
// started later. It fails with core.ErrInvalid for a nil platform and for options
// out of their bounds. The handler is safe for concurrent use.
func New(p *ustat.Platform, opts *Options) (http.Handler, error) {
	if p == nil {
		return nil, core.Invalid("platform", "required", "", "", "a platform is needed")
	}
	options, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	a := newAPI(p, options)
	if err := a.mountDocs(); err != nil {
		return nil, err
	}
	return a, nil
}

// OpenAPI returns the OpenAPI 3.1 document of a version of the API, "v1", as
// indented JSON. It needs no platform. An unknown version is core.ErrInvalid.
func OpenAPI(version string) ([]byte, error) {
	if version != "v1" {
		return nil, core.Invalid("version", "oneof", "v1", version, "there is no such version of the API")
	}
	return newAPI(nil, Options{}).document()
}

// newAPI registers all operations. Without a platform it can only be documented.
func newAPI(p *ustat.Platform, options Options) *api {
	a := &api{platform: p, options: options, mux: http.NewServeMux(), validate: core.NewValidator()}
	a.encoders.New = func() any { return newEncoder() }
	a.huma = newHuma(humago.NewAdapter(a.mux, ""))
	a.problem = a.schema(Problem{})
	a.mountAccounts()
	a.mountCourses()
	a.mountAuthoring()
	a.mountReviews()
	a.mountLearning()
	a.mountOrders()
	a.mountCertificates()
	a.mountAnalytics()
	a.mountRecommendations()
	a.mountReports()
	a.mountFiles()
	a.mountJobs()
	a.mountLanguages()
	a.mountTranslations()
	a.mountHealth()
	a.mux.HandleFunc("/", a.unrouted)
	return a
}

// Server returns a server with the limits that a handler on the open Internet
// needs: 5 s for the headers, 30 s for the request, 60 s for the answer, 2 minutes
// idle, 16 KiB of headers.
func Server(addr string, h http.Handler) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

type status struct {
	Status string `json:"status" doc:"ok"`
}

func (a *api) mountHealth() {
	get(a, route{
		nobody: true, path: "/healthz", id: "healthz", tag: "operations", summary: "Whether the process answers",
	}, func(context.Context, *call) (status, error) { return status{"ok"}, nil })
	get(a, route{
		nobody: true, path: "/readyz", id: "readyz", tag: "operations", summary: "Whether requests can be served",
		description: "503 until the platform is started, after it has stopped, and while its database does not answer.",
	}, func(ctx context.Context, _ *call) (status, error) {
		if err := a.platform.Ready(ctx); err != nil {
			return status{}, core.ErrUnavailable.Withf("the platform is not ready").Because(err)
		}
		return status{"ok"}, nil
	})
}
