package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5/static"
	"github.com/swaggest/swgui/v5emb"
)

const (
	title    = "Ustat"
	docsPath = Prefix + "/docs"

	about = `Courses and what is built on them.

- A list is {"results": [...], "next": cursor or null}, read with limit and cursor.
- Times are RFC 3339 in UTC; money is in minor units; ids are opaque strings.
- Every path works with and without its trailing slash, and every GET as HEAD.
- A parameter that is not listed, or is given twice or empty, is refused.
- Bodies are application/json. A field that is not listed, is given twice, in another
  case or as null, is refused.
- A read has an ETag, for If-None-Match; where a version can be written, its tag also
  goes with If-Match, and a write that comes too late is answered with 412.
- Errors are application/problem+json with a stable code.`
)

// newHuma returns huma's part of the API: routes, schemas and the document. Its own
// pages are off, they load from a CDN, and so are its hooks, which add $schema to
// answers.
func newHuma(adapter huma.Adapter) huma.API {
	config := huma.Config{OpenAPI: &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: title, Version: "1.0.0", Description: about},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{"bearer": {
				Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "The access_token of a login",
			}},
		},
		Tags: []*huma.Tag{
			{Name: "courses", Description: "The catalogue"},
			{Name: "auth", Description: "Signing in"},
			{Name: "accounts", Description: "People and what they may do"},
			{Name: "analytics", Description: "What the platform knows of itself"},
			{Name: "operations", Description: "For those who run the server"},
		},
	}}
	// Answers may get fields; a client must not break by that.
	config.AllowAdditionalPropertiesByDefault = true
	return huma.NewAPI(config, slashless{adapter})
}

// document returns the OpenAPI document.
func (a *api) document() ([]byte, error) {
	raw, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// mountDocs serves the document, the page that shows it, and the page's files.
func (a *api) mountDocs() error {
	document, err := a.document()
	if err != nil {
		return err
	}
	a.mux.HandleFunc("GET "+Prefix+"/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		sendStatus(w, r, http.StatusOK, "application/json", document)
	})
	// Links are relative, so that the API can be mounted below another path; they
	// differ by whether the page was asked for with its slash.
	slash, bare := renderDocs("./"), renderDocs("docs/")
	a.mux.HandleFunc("GET "+docsPath, func(w http.ResponseWriter, r *http.Request) {
		page := bare
		if asked, _, _ := strings.Cut(r.RequestURI, "?"); strings.HasSuffix(asked, "/") {
			page = slash
		}
		w.Header().Set("Content-Security-Policy", page.policy)
		sendStatus(w, r, http.StatusOK, "text/html; charset=utf-8", page.html)
	})
	files, err := docsFiles()
	if err != nil {
		return err
	}
	assets := docsHandler("./")
	a.mux.HandleFunc("GET "+docsPath+"/{file}", func(w http.ResponseWriter, r *http.Request) {
		if !files[r.PathValue("file")] {
			a.notFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=3600")
		assets.ServeHTTP(w, r)
	})
	return nil
}

func docsHandler(base string) http.Handler {
	return v5emb.NewHandlerWithConfig(swgui.Config{
		Title: title, SwaggerJSON: "../openapi.json", BasePath: base, InternalBasePath: docsPath,
	})
}

// docsFiles returns the names of the files that the page may load.
func docsFiles() (map[string]bool, error) {
	entries, err := fs.ReadDir(static.FS, ".")
	if err != nil {
		return nil, err
	}
	files := make(map[string]bool)
	for _, e := range entries {
		files[strings.TrimSuffix(e.Name(), ".gz")] = true
	}
	return files, nil
}

// docsPage is the page and the policy that lets its own scripts run, and no others.
type docsPage struct {
	html   []byte
	policy string
}

// inlineScript finds the scripts that stand in the page itself.
var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

func renderDocs(base string) docsPage {
	rendered := capture{header: http.Header{}}
	docsHandler(base).ServeHTTP(&rendered, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: docsPath + "/"}})
	html := rendered.body.Bytes()
	scripts := "'self'"
	for _, script := range inlineScript.FindAllSubmatch(html, -1) {
		sum := sha256.Sum256(script[1])
		scripts += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return docsPage{html, "default-src 'none'; script-src " + scripts + "; style-src 'self' 'unsafe-inline'; " +
		"img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
}

// capture keeps what a handler writes.
type capture struct {
	header http.Header
	body   bytes.Buffer
}

func (c *capture) Header() http.Header         { return c.header }
func (c *capture) Write(b []byte) (int, error) { return c.body.Write(b) }
func (c *capture) WriteHeader(int)             {}
