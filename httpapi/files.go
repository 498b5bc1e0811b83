package httpapi

import (
	"context"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ustat/ustat/blob"
)

const filesPath = Prefix + "/files/"

// transferTime is how long the sending or the fetching of a file may take.
const transferTime = 30 * time.Minute

// withTime gives a request the time of a file: the time of other requests does not end
// it. A client that has gone does.
func withTime(r *http.Request) (*http.Request, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), transferTime)
	return r.WithContext(ctx), cancel
}

// withDeadlines moves the deadlines of the server's to the time of a file. It is called
// once a request is known to be allowed, so that others hold no connection.
func withDeadlines(w http.ResponseWriter) {
	// A writer that has no deadlines, as in tests, has none to be moved.
	controller, deadline := http.NewResponseController(w), time.Now().Add(transferTime)
	_ = controller.SetReadDeadline(deadline)
	_ = controller.SetWriteDeadline(deadline)
}

// opened is a file on its way to a client.
type opened struct {
	file *blob.File
	link blob.Link
}

// mountFiles serves the files of links: whoever has one may fetch it.
func (a *api) mountFiles() {
	rt := route{
		method: http.MethodGet, path: filesPath + "{token}/", id: "files-get", tag: "operations", summary: "Fetch the file of a link", nobody: true, status: http.StatusOK,
		description: "The link is the right to it: 403 when it was altered or has expired. Ranges are served.",
	}
	op := a.operation(rt)
	content := map[string]*huma.MediaType{}
	for _, t := range blob.Types() {
		content[t.MediaType()] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	}
	op.Responses["200"].Content = content
	a.documentFailures(op, http.StatusForbidden)
	a.routes = append(a.routes, rt)
	a.huma.OpenAPI().AddOperation(op)
	a.huma.Adapter().Handle(op, func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		r, end := withTime(r)
		defer end()
		got, err := perform(a, rt, &call{request: r}, true, func(any) error { return nil }, func(ctx context.Context, c *call, _ none) (opened, error) {
			file, link, err := a.platform.OpenLink(ctx, c.path("token"))
			return opened{file, link}, err
		})
		if err != nil {
			a.fail(w, r, err)
			return
		}
		defer got.file.Close()
		sendFile(w, r, got)
	})
}

// sendFile sends the file of a link.
func sendFile(w http.ResponseWriter, r *http.Request, o opened) {
	asDownload(w.Header(), o.link.MediaType(), o.link.Name)
	// What is under a key never changes: so a range goes on where it broke off (If-Range).
	w.Header().Set("ETag", `"`+string(o.link.Key)+`"`)
	withDeadlines(w)
	http.ServeContent(w, r, "", o.file.ModTime, o.file)
}

// asDownload says of a file that it is to be saved, and never to be shown: its type is
// one of the fixed ones of blob, and a browser that shows it all the same runs nothing
// in it.
func asDownload(h http.Header, mediaType, name string) {
	h.Set("Content-Type", mediaType)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
}
