// Package archtest holds the direction of imports: what a package may pull in,
// through whatever it imports, and why.
package archtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/ustat/ustat"

// rule says what the packages below a path never import, not even through others.
type rule struct {
	packages []string // without the module's path; "core/..." takes sub-packages too
	banned   map[string]string
}

var everywhereBelowTransport = map[string]string{
	"github.com/uptrace/bun":         "SQL lives in storage/*; domains must run on any backend",
	"github.com/jackc/pgx":           "drivers live in storage/*",
	"modernc.org/sqlite":             "drivers live in storage/*",
	"net/http":                       "transport lives in httpapi",
	"testing":                        "test helpers must not reach users' binaries",
	"github.com/danielgtaylor/huma":  "transport lives in httpapi",
	"github.com/testcontainers":      "tests only",
	"github.com/stretchr/testify":    "tests only",
	"github.com/schollz/progressbar": "the library says how far it is; programs draw it",
	"github.com/alecthomas/kong":     "flags belong to programs",
	"github.com/riverqueue":          "the queue's library lives in tasks/riverqueue",
	module + "/storage":              "domains own their Store; storage implements it",
	module + "/httpapi":              "transport knows services, never the other way",
}

func without(banned map[string]string, allowed ...string) map[string]string {
	out := map[string]string{}
	for path, why := range banned {
		out[path] = why
	}
	for _, path := range allowed {
		delete(out, path)
	}
	return out
}

var rules = []rule{
	{[]string{"core/..."}, with(everywhereBelowTransport, map[string]string{
		module + "/accounts": "core is a leaf", module + "/courses": "core is a leaf",
	})},
	{[]string{"accounts"}, with(everywhereBelowTransport, map[string]string{module + "/courses": "accounts come before courses"})},
	{[]string{"i18n"}, with(everywhereBelowTransport, map[string]string{
		module + "/accounts": "languages know no domain", module + "/courses": "languages know no domain",
	})},
	{[]string{"courses/..."}, with(everywhereBelowTransport, map[string]string{module + "/reviews": "courses come before reviews"})},
	{[]string{"reviews"}, with(everywhereBelowTransport, map[string]string{module + "/analytics": "reviews come before analytics", module + "/reports": "a program with reviews compiles no reports"})},
	{[]string{"analytics"}, with(everywhereBelowTransport, map[string]string{module + "/reports": "a program with analytics compiles no reports"})},
	{[]string{"analytics/chart"}, without(everywhereBelowTransport, module+"/storage")},
	{[]string{"analytics", ".", "httpapi"}, map[string]string{"github.com/go-analyze": "charts are a sub-package's"}},
	{[]string{"recommend/..."}, with(everywhereBelowTransport, map[string]string{
		module + "/reviews": "a model is told the ratings of a course; it asks no service",
		module + "/tasks":   "training is called by a job and knows none",
	})},
	{[]string{"courses", "."}, map[string]string{"codeberg.org/go-pdf": "the document of a certificate is a sub-package's", "golang.org/x/image": "the document of a certificate is a sub-package's"}},
	{[]string{"blob"}, with(everywhereBelowTransport, map[string]string{
		module + "/accounts": "files know no domain", module + "/courses": "files know no domain", "github.com/minio": "a program that keeps its files in a folder compiles no S3",
	})},
	{[]string{"reports"}, with(everywhereBelowTransport, map[string]string{
		"github.com/xuri": "the format of spreadsheets is a sub-package's", "github.com/minio": "a program that keeps its files in a folder compiles no S3",
	})},
	{[]string{"reports/xlsx"}, map[string]string{"github.com/uptrace/bun": "a format knows no storage", module + "/storage": "a format knows no storage", "testing": "tests only"}},
	{[]string{"tasks"}, with(everywhereBelowTransport, map[string]string{
		module + "/accounts": "tasks deliver any domain's events", module + "/courses": "tasks deliver any domain's events",
	})},
	{[]string{"payments/signed"}, everywhereBelowTransport},
	{[]string{"payments/fake", "payments/httppay"}, without(everywhereBelowTransport, "net/http")},
	{[]string{"transfer"}, without(everywhereBelowTransport, module+"/storage")},
	{[]string{"."}, without(everywhereBelowTransport, module+"/storage")},
	{[]string{"storage"}, without(everywhereBelowTransport, module+"/storage")},
	{[]string{"storage/sqlite"}, map[string]string{
		"github.com/jackc/pgx": "a program on SQLite compiles no driver of PostgreSQL", module + "/httpapi": "storage knows no transport",
		"github.com/danielgtaylor/huma": "storage knows no transport", "github.com/testcontainers": "tests only", "testing": "tests only",
	}},
	{[]string{"storage/postgres"}, map[string]string{
		"modernc.org/sqlite": "a program on PostgreSQL compiles no SQLite", module + "/httpapi": "storage knows no transport",
		"github.com/testcontainers": "tests only", "testing": "tests only",
	}},
	{[]string{"httpapi"}, map[string]string{
		"github.com/uptrace/bun": "httpapi knows services, never stores", module + "/storage/sqlite": "the embedder chooses the storage",
		module + "/storage/postgres": "the embedder chooses the storage", "testing": "tests only",
	}},
	{[]string{"examples/server", "examples/customstore"}, map[string]string{"github.com/testcontainers": "tests only", "testing": "tests only"}},
}

func with(banned, more map[string]string) map[string]string {
	out := without(banned)
	for path, why := range more {
		out[path] = why
	}
	return out
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	for _, r := range rules {
		for _, pattern := range r.packages {
			for _, pkg := range list(t, pattern) {
				for _, dep := range pkg.Deps {
					for path, why := range r.banned {
						if dep == path || strings.HasPrefix(dep, path+"/") {
							t.Errorf("%s imports %s: %s", pkg.ImportPath, dep, why)
						}
					}
				}
			}
		}
	}
}

// TestDomainsImportFewModules holds what an embedder of a domain compiles.
func TestDomainsImportFewModules(t *testing.T) {
	t.Parallel()
	allowed := []string{
		"github.com/google/uuid", "github.com/blevesearch/snowballstem", "golang.org/x/", "github.com/gosimple/",
		"github.com/cespare/xxhash/v2",                                                                 // where the events of analytics are: one file, no more
		"github.com/golang-jwt/jwt/v5",                                                                 // access tokens; of the standard library beside it, and no net/http
		"github.com/go-playground/", "github.com/gabriel-vasile/mimetype", "github.com/leodido/go-urn", // the validator and its own
	}
	// Rich text: the sanitizer with its own, and the parser of Markdown.
	richText := []string{"github.com/microcosm-cc/bluemonday", "github.com/aymerick/douceur", "github.com/gorilla/css", "github.com/yuin/goldmark"}
	for _, pattern := range []string{"core/...", "accounts", "courses/...", "reviews", "analytics", "recommend/...", "tasks", "blob", "reports", "i18n"} {
		for _, pkg := range list(t, pattern) {
			for _, dep := range pkg.Deps {
				first, _, _ := strings.Cut(dep, "/")
				if !strings.Contains(first, ".") || strings.HasPrefix(dep, module) {
					continue
				}
				known := false
				prefixes := allowed
				if pkg.ImportPath == module+"/courses/certificate" {
					prefixes = append(prefixes[:len(prefixes):len(prefixes)], "codeberg.org/go-pdf/fpdf")
				}
				if pkg.ImportPath == module+"/analytics" || pkg.ImportPath == module+"/reports" { // sketches of unique viewers, and what that library imports
					prefixes = append(prefixes[:len(prefixes):len(prefixes)], "github.com/axiomhq/hyperloglog", "github.com/dgryski/go-metro", "github.com/kamstrup/intmap")
				}
				if strings.HasPrefix(pkg.ImportPath, module+"/courses") || strings.HasPrefix(pkg.ImportPath, module+"/recommend") || pkg.ImportPath == module+"/reviews" || pkg.ImportPath == module+"/analytics" || pkg.ImportPath == module+"/reports" {
					prefixes = slices.Concat(prefixes, richText)
				}
				for _, prefix := range prefixes {
					known = known || strings.HasPrefix(dep, prefix)
				}
				require.True(t, known, "%s imports %s", pkg.ImportPath, dep)
			}
		}
	}
}

type pkg struct {
	ImportPath string
	Deps       []string
}

func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

func list(t *testing.T, pattern string) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Deps", "./"+pattern)
	cmd.Dir = root()
	out, err := cmd.Output()
	require.NoError(t, err)
	var all []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p pkg
		require.NoError(t, decoder.Decode(&p))
		all = append(all, p)
	}
	require.NotEmpty(t, all, pattern)
	return all
}

// TestAnEmbeddersView builds a module outside this one that uses ustat on SQLite,
// and holds what it pulls in to the figures in the README.
func TestAnEmbeddersView(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	abs, err := filepath.Abs(root())
	require.NoError(t, err)
	write("go.mod", "module example.org/embedder\n\ngo 1.26\n\nrequire "+module+" v0.0.0\n\nreplace "+module+" => "+abs+"\n")
	sum, err := os.ReadFile(filepath.Join(abs, "go.sum"))
	require.NoError(t, err)
	write("go.sum", string(sum))
	write("main.go", `package main

import (
	"context"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/storage/sqlite"
)

func main() {
	backend, err := sqlite.InMemory(context.Background(), nil)
	if err != nil {
		panic(err)
	}
	if _, err := ustat.New(backend, nil); err != nil {
		panic(err)
	}
}
`)
	run := func(args ...string) string {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "go %v: %s", args, out)
		return string(out)
	}
	run("build", "-o", filepath.Join(dir, "embedder"), ".")
	for _, dep := range strings.Fields(run("list", "-deps", ".")) {
		for _, banned := range []string{"docker", "testcontainers", "danielgtaylor", "websocket", "riverqueue", "xuri", "go-pdf", "x/image", "minio", "jackc", "kong", "net/http", "testify"} {
			require.NotContains(t, dep, banned)
		}
	}
	modules := map[string]bool{}
	for _, path := range strings.Fields(run("list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")) {
		modules[path] = true
	}
	delete(modules, module)
	delete(modules, "example.org/embedder")
	readme, err := os.ReadFile(filepath.Join(abs, "README.md"))
	require.NoError(t, err)
	require.Contains(t, string(readme), fmt.Sprintf("compiles %d modules", len(modules)), "the README says how many modules an embedder compiles: %v", modules)
}
