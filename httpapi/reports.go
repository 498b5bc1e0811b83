package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reports"
)

const reportsPath = Prefix + "/analytics/reports/"

type reportOrder struct {
	Kind     string         `json:"kind" validate:"required,oneof=courses course revenue"`
	Format   string         `json:"format" validate:"required,max=20" doc:"csv, or another one that this server writes, such as xlsx"`
	Status   courses.Status `json:"status,omitempty" validate:"omitempty,oneof=draft review published archived" doc:"Of courses: only those in it"`
	Course   string         `json:"course,omitempty" validate:"max=120" doc:"Of course: its slug"`
	Interval analytics.Unit `json:"interval,omitempty" validate:"omitempty,oneof=hour day week month" doc:"Of course: how long a row is; a day without it"`
	Zone     string         `json:"tz,omitempty" validate:"max=64" doc:"Of course: time zone of IANA; UTC without it"`
	From     time.Time      `json:"from,omitzero" doc:"Of course: 30 days before to without it"`
	To       time.Time      `json:"to,omitzero" doc:"Of course: when it is written without it"`
	Teacher  string         `json:"teacher,omitempty" validate:"max=64" doc:"Of revenue: the username of the teacher"`
}

func (o reportOrder) filter() reports.Filter {
	return reports.Filter{Status: o.Status, Course: o.Course, Interval: o.Interval, Zone: o.Zone, From: o.From, To: o.To, Teacher: o.Teacher}
}

type report struct {
	ID         string      `json:"id"`
	Kind       string      `json:"kind"`
	Format     string      `json:"format"`
	Status     *string     `json:"status" doc:"Of the courses that were asked for; null is any"`
	Course     string      `json:"course,omitempty" doc:"The slug of the course that was asked for"`
	Teacher    string      `json:"teacher,omitempty" doc:"The username of the teacher that was asked for"`
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
		ID: found.ID.String(), Kind: found.Kind, Format: found.Format, Status: textOrNull(string(found.Filter.Status)), Course: found.Filter.Course, Teacher: found.Filter.Teacher, State: string(found.State),
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
		description: "On the courses that one may edit (courses), on what happened in one of them (course), and on what those of a teacher have earned (revenue): teachers on their own, " +
			"producers also on those of their teachers, admins on all. It is written in the background.",
		status: http.StatusAccepted, keyed: true, signedIn: true, failures: append([]int{http.StatusNotFound}, tooOften...),
	}, func(ctx context.Context, c *call, in reportOrder) (report, error) {
		made, err := a.platform.Reports.Request(ctx, c.actor, reports.New{Kind: in.Kind, Format: in.Format, Filter: in.filter(), Key: c.key()})
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
