package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"time"
	_ "time/tzdata" // time zones are asked for by name, also on machines that have none

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
)

const (
	analyticsPath       = Prefix + "/analytics/"
	courseAnalyticsPath = analyticsPath + "courses/{slug}/"
	userAnalyticsPath   = analyticsPath + "users/{username}/"
)

// forEditors says who may read the analytics of a course.
const forEditors = "For who may edit the course, and admins."

func (a *api) mountAnalytics() {
	const tag = "analytics"
	get(a, route{
		path: analyticsPath + "courses/", id: "analytics-courses-list", tag: tag, summary: "The courses whose analytics one may read, the best first", signedIn: true,
		description: "Teachers read those of their own courses, producers also of their teachers', admins of all in which anything has happened.",
		query: append(pageParams(),
			param{name: "sort", kind: choice, choices: []string{string(analytics.TopViews), string(analytics.TopRevenue), string(analytics.TopCompletion)}, standard: string(analytics.TopViews), doc: "Order; revenue needs currency"},
			param{name: "currency", doc: "Of ISO 4217; only with sort=revenue"},
		),
	}, func(ctx context.Context, c *call) (partial[courseAnalytics], error) {
		order := analytics.TopOrder{By: analytics.TopViews, Currency: c.args.text("currency")}
		if by := c.args.text("sort"); by != "" {
			order.By = analytics.TopBy(by)
		}
		page, err := a.platform.Analytics.Courses(ctx, c.actor, order, c.page())
		shown := present(page.Items, page.Next, courseAnalyticsOf)
		return partial[courseAnalytics]{shown.Results, shown.Next, append([]string{}, page.Missing...)}, err
	})
	get(a, route{
		path: courseAnalyticsPath, id: "analytics-courses-get", tag: tag, summary: "The analytics of a course", description: forEditors, signedIn: true,
	}, func(ctx context.Context, c *call) (courseAnalytics, error) {
		found, err := a.platform.Analytics.Course(ctx, c.actor, c.path("slug"))
		return courseAnalyticsOf(found), err
	})
	get(a, route{
		path: courseAnalyticsPath + "timeseries/", id: "analytics-timeseries", tag: tag, summary: "What happened in a course, by hours, days, weeks or months", signedIn: true,
		description: forEditors + " Points in which nothing happened are zero; there are at most 1,000. Days are those of the time zone: 23, 24 or 25 hours long.",
		query:       seriesParams(),
	}, func(ctx context.Context, c *call) (whole[pointOfTime], error) {
		unit, zone, from, to := c.series()
		points, err := a.platform.Analytics.Series(ctx, c.actor, c.path("slug"), unit, zone, from, to)
		return wholeOf(points, pointOf), err
	})
	get(a, route{
		path: courseAnalyticsPath + "funnel/", id: "analytics-funnel", tag: tag, summary: "How many people got how far in a course", description: forEditors, signedIn: true,
	}, func(ctx context.Context, c *call) (whole[funnelStep], error) {
		steps, err := a.platform.Analytics.Funnel(ctx, c.actor, c.path("slug"))
		return wholeOf(steps, stepOf), err
	})
	get(a, route{
		path: courseAnalyticsPath + "dropout/", id: "analytics-dropout", tag: tag, summary: "How many learners started and completed each lesson", signedIn: true,
		description: forEditors + " Lessons that nobody has started are left out.",
	}, func(ctx context.Context, c *call) (whole[lessonDropOff], error) {
		lessons, err := a.platform.Analytics.DropOff(ctx, c.actor, c.path("slug"))
		return wholeOf(lessons, dropOffOf), err
	})
	get(a, route{
		path: courseAnalyticsPath + "retention/", id: "analytics-retention", tag: tag, summary: "How many learners stay, by the week in which they enrolled", signedIn: true,
		description: forEditors + " At most 53 weeks.", query: spanParams("12 weeks"),
	}, func(ctx context.Context, c *call) (whole[cohort], error) {
		cohorts, err := a.platform.Analytics.Retention(ctx, c.actor, c.path("slug"), c.args.time("from"), c.args.time("to"))
		return wholeOf(cohorts, cohortOf), err
	})
	get(a, route{
		path: courseAnalyticsPath + "events/", id: "analytics-events-list", tag: tag, summary: "The log of a course, the latest event first", description: "Admins only.", signedIn: true,
		query: pageParams(),
	}, func(ctx context.Context, c *call) (list[rawEvent], error) {
		page, err := a.platform.Analytics.Events(ctx, c.actor, c.path("slug"), c.page())
		if err != nil {
			return list[rawEvent]{}, err
		}
		users, err := a.platform.Accounts.NamesByID(ctx, usersOf(page.Items))
		return present(page.Items, page.Next, rawEventWith(users)), err
	})
	a.mountChart()
	a.mountPeopleAnalytics()
	a.mountCollector()
}

// usersOf returns the users of events, each once.
func usersOf(events []analytics.Event) []core.UserID {
	known := map[core.UserID]bool{}
	var users []core.UserID
	for _, e := range events {
		if e.User > 0 && !known[e.User] {
			known[e.User] = true
			users = append(users, e.User)
		}
	}
	return users
}

// spanParams are those of a span of time.
func spanParams(standard string) []param {
	return []param{
		{name: "from", kind: moment, doc: "RFC 3339; " + standard + " before to without it"},
		{name: "to", kind: moment, doc: "RFC 3339, exclusive; now without it"},
	}
}

func seriesParams() []param {
	units := []string{string(analytics.ByHour), string(analytics.ByDay), string(analytics.ByWeek), string(analytics.ByMonth)}
	return append(spanParams("30 days"),
		param{name: "interval", kind: choice, choices: units, standard: string(analytics.ByDay), doc: "How long a point is; weeks begin on Monday"},
		param{name: "tz", kind: zone, standard: "UTC", doc: "Time zone of IANA, as Europe/Moscow"},
	)
}

// series returns the parameters of a series.
func (c *call) series() (unit analytics.Unit, in *time.Location, from, to time.Time) {
	if unit = analytics.Unit(c.args.text("interval")); unit == "" {
		unit = analytics.ByDay
	}
	in, err := time.LoadLocation(c.args.text("tz")) // empty is UTC
	if err != nil {
		in = time.UTC // parsing has refused it
	}
	return unit, in, c.args.time("from"), c.args.time("to")
}

// mountChart serves the series of a course as a picture.
func (a *api) mountChart() {
	rt := route{
		method: http.MethodGet, path: courseAnalyticsPath + "chart.svg", id: "analytics-chart", tag: "analytics", summary: "The views, enrollments and completions of a course as SVG", signedIn: true,
		description: forEditors + " For pages that have no scripts. 503 where the platform makes no charts.", status: http.StatusOK, query: seriesParams(),
	}
	op := a.operation(rt)
	op.Responses["200"].Content = map[string]*huma.MediaType{svgType: {Schema: &huma.Schema{Type: huma.TypeString}}}
	a.routes = append(a.routes, rt)
	a.huma.OpenAPI().AddOperation(op)
	a.huma.Adapter().Handle(op, func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		svg, err := perform(a, rt, &call{request: r}, true, func(any) error { return nil }, func(ctx context.Context, c *call, _ none) ([]byte, error) {
			unit, in, from, to := c.series()
			return a.platform.Analytics.Chart(ctx, c.actor, c.path("slug"), unit, in, from, to)
		})
		if err != nil {
			a.fail(w, r, err)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
		w.Header().Set("ETag", entityTag(0, svg))
		w.Header().Set("Content-Type", svgType)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(svg))
	})
}

const svgType = "image/svg+xml"

// mountPeopleAnalytics mounts what is about users and teachers.
func (a *api) mountPeopleAnalytics() {
	const tag = "analytics"
	get(a, route{
		path: userAnalyticsPath, id: "analytics-users-get", tag: tag, summary: "What a user has done", description: "For the user, and admins.", signedIn: true,
	}, func(ctx context.Context, c *call) (userAnalytics, error) {
		found, err := a.platform.Analytics.User(ctx, c.actor, c.path("username"))
		return userAnalyticsOf(c.path("username"), found), err
	})
	get(a, route{
		path: userAnalyticsPath + "activity/", id: "analytics-users-activity", tag: tag, summary: "The days on which a user has done something", signedIn: true,
		description: "For the user, and admins. At most 366 days.", query: spanParams("30 days"),
	}, func(ctx context.Context, c *call) (userActivity, error) {
		found, err := a.platform.Analytics.Activity(ctx, c.actor, c.path("username"), c.args.time("from"), c.args.time("to"))
		return activityOf(found), err
	})
	get(a, route{
		path: analyticsPath + "teachers/{username}/revenue/", id: "analytics-teachers-revenue", tag: tag, summary: "What the courses of a teacher have earned", signedIn: true,
		description: "For the teacher, producers who work for them, and admins.",
	}, func(ctx context.Context, c *call) (teacherRevenue, error) {
		found, err := a.platform.Analytics.TeacherRevenue(ctx, c.actor, c.path("username"))
		return teacherRevenueOf(found), err
	})
}
