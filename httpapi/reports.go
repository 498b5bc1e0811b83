package httpapi

import (
	"context"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reports"
)

const (
	reportsPath = Prefix + "/analytics/reports/"
	filesPath   = Prefix + "/files/"
)

// downloadTime is how long the fetching of a file may take.
const downloadTime = 30 * time.Minute

type reportOrder struct {
	Kind   string         `json:"kind" validate:"required,oneof=courses"`
	Format string         `json:"format" validate:"required,max=20" doc:"csv, or another one that this server writes, such as xlsx"`
	Status courses.Status `json:"status" validate:"omitempty,oneof=draft review published archived" doc:"Only courses in it"`
}

type report struct {
	ID         string      `json:"id"`
	Kind       string      `json:"kind"`
	Format     string      `json:"format"`
	Status     *string     `json:"status" doc:"Of the courses that were asked for; null is any"`
	State      string      `json:"state" enum:"queued,running,done,failed"`
	Rows       int         `json:"rows" doc:"0 until it is done"`
	Error      *string     `json:"error" doc:"The code of why it has failed, else null"`
	CreatedAt  time.Time   `json:"created_at"`
	FinishedAt *time.Time  `json:"finished_at" doc:"null until it is done or failed"`
	ExpiresAt  time.Time   `json:"expires_at" doc:"When it is removed"`
	File       *reportFile `json:"file" doc:"null until it is done"`
}

type reportFile struct {
	URL       string    `json:"url" doc:"Whoever has it may fetch the file, until it expires"`
	ExpiresAt time.Time `json:"expires_at"`
}

func reportOf(r *http.Request, found reports.Report) report {
	out := report{
		ID: found.ID.String(), Kind: found.Kind, Format: found.Format, Status: textOrNull(string(found.Filter.Status)), State: string(found.State),
		Rows: found.Rows, Error: textOrNull(found.Code), CreatedAt: found.CreatedAt.UTC(), FinishedAt: timeOrNull(found.FinishedAt), ExpiresAt: found.ExpiresAt.UTC(),
	}
	if found.Token != "" {
		out.File = &reportFile{absolute(r, filesPath+found.Token+"/"), found.TokenExpires.UTC()}
	}
	return out
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (a *api) mountReports() {
	const tag = "analytics"
	send(a, route{
		method: http.MethodPost, path: reportsPath, id: "reports-create", tag: tag, summary: "Ask for a report",
		description: "On the courses that one may edit: teachers on their own, producers also on those of their teachers, admins on all. It is written in the background.",
		status:      http.StatusAccepted, keyed: true, signedIn: true,
	}, func(ctx context.Context, c *call, in reportOrder) (report, error) {
		made, err := a.platform.Reports.Request(ctx, c.actor, reports.New{Kind: in.Kind, Format: in.Format, Filter: reports.Filter{Status: in.Status}, Key: c.key()})
		if err != nil {
			return report{}, err
		}
		c.location = reportsPath + made.ID.String() + "/"
		return reportOf(c.request, made), nil
	})
	get(a, route{
		path: reportsPath + "{id}/", id: "reports-get", tag: tag, summary: "How far a report is, and a link to its file",
		description: "For who has asked for it, and admins. The link expires after 15 minutes; another call gives another one.", signedIn: true,
	}, func(ctx context.Context, c *call) (report, error) {
		id, err := uuid.Parse(c.path("id"))
		if err != nil || id.String() != c.path("id") {
			return report{}, reports.ErrReportNotFound
		}
		found, err := a.platform.Reports.Get(ctx, c.actor, id)
		return reportOf(c.request, found), err
	})
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
		// The time of a request ends no download: a client that has gone does.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), downloadTime)
		defer cancel()
		got, err := perform(a, rt, &call{request: r}, true, func(any) error { return nil }, func(_ context.Context, c *call, _ none) (opened, error) {
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

// sendFile sends a file to be saved, and never to be shown: its type is one of the
// fixed ones of blob, and a browser that shows it all the same runs nothing in it.
func sendFile(w http.ResponseWriter, r *http.Request, o opened) {
	h := w.Header()
	h.Set("Content-Type", o.link.MediaType())
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": o.link.Name}))
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	// What is under a key never changes: so a range goes on where it broke off (If-Range).
	h.Set("ETag", `"`+string(o.link.Key)+`"`)
	// A writer that has no deadlines, as in tests, has none to be moved.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(downloadTime))
	http.ServeContent(w, r, "", o.file.ModTime, o.file)
}
