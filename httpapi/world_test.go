package httpapi_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/analytics/chart"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/certificate"
	"github.com/ustat/ustat/httpapi"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/payments/fake"
	"github.com/ustat/ustat/reports"
	"github.com/ustat/ustat/reports/xlsx"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/tasks"
)

// principals are those who ask, in the order of the columns of policy.txt.
var principals = []string{"anonymous", "student", "teacher", "owner", "producer", "stranger", "admin"}

// password is what everybody in a world signs in with.
const password = "correct horse battery"

// linkKey signs the links of a world.
const linkKey = "0123456789abcdef0123456789abcdef"

// world is a platform with one user of each kind, signed in.
type world struct {
	t          *testing.T
	p          *ustat.Platform
	b          *storage.Backend
	queue      *tasks.Memory // nobody works it
	h          http.Handler
	db         *sql.DB           // to look into what is stored
	tokens     map[string]string // access tokens by username; none for anonymous
	bank       *fake.Provider
	n          int                  // makes names
	report     *reports.Report      // of the owner, done; see doneReport
	learns     *learning            // of the student; see learning
	enrollment courses.EnrollmentID // of the student; see completed
}

func newWorld(t *testing.T, open func(t *testing.T) (*storage.Backend, *sql.DB)) *world {
	t.Helper()
	b, db := open(t)
	queue := tasks.NewMemory(nil)
	files, err := blob.Dir(t.TempDir(), nil)
	require.NoError(t, err)
	printer, err := certificate.New(certificate.Options{})
	require.NoError(t, err)
	bank, err := fake.New(fake.Config{PayURL: "https://pay.example.org/"})
	require.NoError(t, err)
	p, err := ustat.New(b, &ustat.Config{
		Payments: []courses.Payments{bank},
		Learners: everybody{}, Reviews: reviews.Options{PerHour: 100_000, Moderator: reviews.Filter{PerHour: 100_000}},
		Queue: queue, TaskConcurrency: -1, NoRelay: true, Files: files, LinkKey: []byte(linkKey), ReportFormats: []reports.Format{xlsx.Format}, Certificates: printer,
		Charts: chart.Painter{},
	})
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
	h, err := httpapi.New(p, nil)
	require.NoError(t, err)
	w := &world{t: t, p: p, b: b, bank: bank, queue: queue, h: h, db: db, tokens: map[string]string{}}
	for _, name := range principals[1:] {
		role := core.Role(name)
		switch name {
		case "owner":
			role = core.Teacher
		case "stranger":
			role = core.Producer
		}
		w.user(name, role)
		tokens, err := p.Accounts.Login(t.Context(), accounts.Credentials{Login: name, Password: password}, accounts.Client{})
		require.NoError(t, err)
		w.tokens[name] = string(tokens.Access)
	}
	for producer, teacher := range map[string]string{"producer": "owner", "stranger": "teacher"} {
		require.NoError(t, p.Accounts.LinkTeacher(t.Context(), accounts.System, producer, teacher))
	}
	_, err = p.Courses.CreateCategory(t.Context(), accounts.System, courses.NewCategory{Name: "Programming"})
	require.NoError(t, err)
	_, err = p.Courses.CreateTag(t.Context(), accounts.System, courses.NewTag{Name: "Go"})
	require.NoError(t, err)
	_, err = p.Accounts.CreateSpecialization(t.Context(), accounts.System, accounts.NewSpecialization{Slug: "backend", Name: "Backend"})
	require.NoError(t, err)
	return w
}

func (w *world) user(name string, role core.Role) {
	_, err := w.p.Accounts.CreateUser(w.t.Context(), accounts.System, accounts.NewUser{
		Username: name, Email: name + "@example.org", Role: role, Password: password,
	})
	require.NoError(w.t, err)
}

// name returns a new name.
func (w *world) name() string {
	w.n++
	return fmt.Sprintf("name-%d", w.n)
}

// job returns the id of a new job that waits.
func (w *world) job() string {
	require.NoError(w.t, w.queue.Insert(w.t.Context(), tasks.Insert{Kind: "test", Key: w.name(), RunAt: time.Now().Add(time.Hour)}))
	newest, err := w.queue.List(w.t.Context(), tasks.JobQuery{Limit: 1})
	require.NoError(w.t, err)
	return fmt.Sprint(newest[0].ID)
}

// order returns the id of a new order of the student, which is paid or pending.
func (w *world) order(paid bool) string {
	student, err := w.p.Accounts.UserByUsername(w.t.Context(), "student")
	require.NoError(w.t, err)
	made, err := w.p.Courses.CreateOrder(w.t.Context(), core.Actor{UserID: student.ID, Role: student.Role}, courses.NewOrder{Course: w.course(courses.Published).slug})
	require.NoError(w.t, err)
	if paid {
		event, err := w.bank.Settle(made.ID, true)
		require.NoError(w.t, err)
		header, body, err := w.bank.Seal(event)
		require.NoError(w.t, err)
		require.NoError(w.t, w.p.Courses.PaymentCallback(w.t.Context(), "fake", header, body))
	}
	return made.ID.String()
}

// coupon returns the code of a new coupon.
func (w *world) coupon() string {
	made, err := w.p.Courses.CreateCoupon(w.t.Context(), accounts.System, courses.NewCoupon{Code: w.name(), Percent: 10})
	require.NoError(w.t, err)
	return made.Code
}

// doneReport returns a report of the owner that is done, with a link to its file.
func (w *world) doneReport() reports.Report {
	t, ctx := w.t, w.t.Context()
	owner, err := w.p.Accounts.UserByUsername(ctx, "owner")
	require.NoError(t, err)
	by := core.Actor{UserID: owner.ID, Role: owner.Role}
	if w.report == nil {
		made, err := w.p.Reports.Request(ctx, by, reports.New{Kind: reports.Courses, Format: "csv"})
		require.NoError(t, err)
		require.NoError(t, w.p.Reports.Make(ctx, made.ID))
		w.report = &made
	}
	done, err := w.p.Reports.Get(ctx, by, w.report.ID)
	require.NoError(t, err)
	return done
}

// learning is an enrollment of the student in a free course of the owner.
type learning struct {
	course subject
	id     string
}

func (w *world) learning() *learning {
	if w.learns == nil {
		s := w.course(courses.Published)
		w.priced(s, 0)
		e, err := w.p.Courses.Grant(w.t.Context(), accounts.System, s.slug, "student")
		require.NoError(w.t, err)
		w.learns = &learning{s, fmt.Sprint(e.ID)}
	}
	return w.learns
}

func (l *learning) at(path string, body any) request {
	return request{"/enrollments/" + l.id + path, body}
}

// priced gives a course another price.
func (w *world) priced(s subject, minor int64) {
	_, err := w.p.Courses.Edit(w.t.Context(), accounts.System, s.slug, courses.CourseEdit{Price: &core.Money{Minor: minor, Currency: "USD"}})
	require.NoError(w.t, err)
}

// granted gives the student a place in a course, where it is published.
func (w *world) granted(s subject) {
	if _, err := w.p.Courses.Grant(w.t.Context(), accounts.System, s.slug, "student"); err != nil && core.KindOf(err) != core.KindNotFound {
		require.ErrorIs(w.t, err, courses.ErrNotOpen)
	}
}

// subject is a course with two modules of one lesson each.
type subject struct {
	slug    string
	modules [2]string
	lessons [2]string
}

// course makes a course of the owner in a status.
func (w *world) course(status courses.Status) subject {
	t, ctx, by := w.t, w.t.Context(), accounts.System
	c, err := w.p.Courses.Create(ctx, by, courses.NewCourse{
		Title: "Course " + w.name(), Category: "programming", Teacher: "owner", Price: &core.Money{Minor: 100, Currency: "USD"},
	})
	require.NoError(t, err)
	s := subject{slug: c.Slug}
	for i := range s.modules {
		m, err := w.p.Courses.CreateModule(ctx, by, c.Slug, courses.NewModule{Title: "Module"})
		require.NoError(t, err)
		l, err := w.p.Courses.CreateLesson(ctx, by, c.Slug, m.ID, courses.NewLesson{Title: "Lesson", Kind: courses.Text})
		require.NoError(t, err)
		s.modules[i], s.lessons[i] = fmt.Sprint(m.ID), fmt.Sprint(l.ID)
	}
	if status == courses.Draft {
		return s
	}
	_, err = w.p.Courses.Submit(ctx, by, c.Slug, 0)
	require.NoError(t, err)
	if status == courses.InReview {
		return s
	}
	_, err = w.p.Courses.Publish(ctx, by, c.Slug, 0)
	require.NoError(t, err)
	if status == courses.Archived {
		_, err = w.p.Courses.Archive(ctx, by, c.Slug, 0)
		require.NoError(t, err)
	}
	return s
}

// request is one of a table of operations.
type request struct {
	path string // without the prefix of v1
	body any    // nil is none
}

// requests makes a request that each operation takes, about a course.
var requests = map[string]func(w *world, s subject) request{
	"auth-register": func(w *world, _ subject) request {
		name := w.name()
		return request{"/auth/register/", object{"username": name, "email": name + "@example.org", "password": password}}
	},
	"auth-login": func(*world, subject) request {
		return request{"/auth/login/", object{"username": "student", "password": password}}
	},
	"auth-refresh": func(w *world, _ subject) request {
		return request{"/auth/refresh/", object{"refresh_token": w.refreshToken()}}
	},
	"auth-logout": func(w *world, _ subject) request {
		return request{"/auth/logout/", object{"refresh_token": w.refreshToken()}}
	},
	"auth-jwks":  fixed("/auth/jwks/", nil),
	"languages":  fixed("/languages/", nil),
	"users-list": fixed("/accounts/users/?role=student&active=true", nil),
	"users-create": func(w *world, _ subject) request {
		name := w.name()
		return request{"/accounts/users/", object{"username": name, "email": name + "@example.org", "role": "producer"}}
	},
	"me-get":       fixed("/accounts/users/me/", nil),
	"me-update":    fixed("/accounts/users/me/", object{"bio": "About me"}),
	"me-password":  fixed("/accounts/users/me/password/", object{"old_password": "not this one", "new_password": "another long one"}),
	"users-get":    fixed("/accounts/users/student/", nil),
	"users-update": fixed("/accounts/users/student/", object{"full_name": "Sue Dent"}),
	"users-role": func(w *world, _ subject) request {
		name := w.name()
		w.user(name, core.Student)
		return request{"/accounts/users/" + name + "/role/", object{"role": "teacher"}}
	},
	"users-active": func(w *world, _ subject) request {
		name := w.name()
		w.user(name, core.Student)
		return request{"/accounts/users/" + name + "/active/", object{"active": false}}
	},
	"teachers-list":          fixed("/accounts/users/producer/teachers/", nil),
	"teachers-link":          fixed("/accounts/users/stranger/teachers/teacher/", nil),
	"teachers-unlink":        fixed("/accounts/users/stranger/teachers/owner/", nil),
	"achievements-list":      fixed("/accounts/achievements/", nil),
	"achievements-recompute": fixed("/accounts/achievements/recompute/", nil),
	"profiles-list":          fixed("/accounts/profiles/?specialization=backend", nil),
	"profiles-get":           fixed("/accounts/profiles/owner/", nil),
	"profiles-update":        fixed("/accounts/profiles/student/", object{"links": []object{{"name": "Site", "url": "https://example.org/"}}, "specializations": []string{"backend"}}),
	"specializations-list":   fixed("/accounts/specializations/", nil),
	"specializations-create": func(w *world, _ subject) request {
		return request{"/accounts/specializations/", object{"slug": w.name(), "name": "New"}}
	},
	"specializations-get":    fixed("/accounts/specializations/backend/", nil),
	"specializations-update": fixed("/accounts/specializations/backend/", object{"name": "Back end"}),
	"specializations-delete": func(w *world, _ subject) request {
		slug := w.name()
		_, err := w.p.Accounts.CreateSpecialization(w.t.Context(), accounts.System, accounts.NewSpecialization{Slug: slug, Name: "X"})
		require.NoError(w.t, err)
		return request{"/accounts/specializations/" + slug + "/", nil}
	},

	"categories-list":   fixed("/courses/categories/", nil),
	"categories-get":    fixed("/categories/programming/", nil),
	"categories-create": func(w *world, _ subject) request { return request{"/courses/categories/", object{"name": w.name()}} },
	"categories-update": fixed("/categories/programming/", object{"name": "Programming!"}),
	"categories-delete": func(w *world, _ subject) request {
		c, err := w.p.Courses.CreateCategory(w.t.Context(), accounts.System, courses.NewCategory{Name: w.name()})
		require.NoError(w.t, err)
		return request{"/categories/" + c.Slug + "/", nil}
	},
	"tags-list":   fixed("/courses/tags/", nil),
	"tags-get":    fixed("/tags/go/", nil),
	"tags-create": func(w *world, _ subject) request { return request{"/courses/tags/", object{"name": w.name()}} },
	"tags-update": fixed("/tags/go/", object{"name": "Go!"}),
	"tags-delete": func(w *world, _ subject) request {
		tag, err := w.p.Courses.CreateTag(w.t.Context(), accounts.System, courses.NewTag{Name: w.name()})
		require.NoError(w.t, err)
		return request{"/tags/" + tag.Slug + "/", nil}
	},

	"course-reviews-list":        of("/reviews/?sort=helpful", nil),
	"course-reviews-summary":     of("/reviews/summary/", nil),
	"course-reviews-eligibility": of("/reviews/eligibility/", nil),
	"course-reviews-create":      of("/reviews/", object{"rating": 5, "text": "Good"}),
	"reviews-list":               fixed("/reviews/?status=published", nil),
	"reviews-create": func(w *world, _ subject) request {
		return request{"/reviews/", object{"course": w.bare(), "rating": 5}}
	},
	"reviews-get":          onReview("/reviews/", "/", nil),
	"reviews-update":       onReview("/reviews/", "/", object{"rating": 1}),
	"reviews-delete":       onReview("/reviews/", "/", nil),
	"reviews-reply":        onReview("/reviews/", "/reply/", object{"text": "Thanks"}),
	"reviews-reply-delete": onReview("/reviews/", "/reply/", nil),
	"comments-list":        onReview("/reviews/", "/comments/", nil),
	"comments-create":      onReview("/reviews/", "/comments/", object{"text": "Yes"}),
	"comments-delete": func(w *world, _ subject) request {
		r := w.review()
		c, err := w.p.Reviews.Comment(w.t.Context(), w.actor("student"), r.ID, reviews.NewText{Text: "Yes"})
		require.NoError(w.t, err)
		return request{fmt.Sprintf("/reviews/%d/comments/%d/", r.ID, c.ID), nil}
	},
	"reviews-vote":        onReview("/reviews/", "/vote/", nil),
	"reviews-vote-delete": onReview("/reviews/", "/vote/", nil),
	"reviews-report":      onReview("/reviews/", "/report/", object{"reason": "spam", "note": "No"}),
	"moderation-list":     fixed("/moderation/reviews/", nil),
	"moderation-decide":   onReview("/moderation/reviews/", "/", object{"action": "hide", "reason": "No"}),
	"moderation-history":  onReview("/moderation/reviews/", "/history/", nil),
	"moderation-reports":  onReview("/moderation/reviews/", "/reports/", nil),

	"analytics-courses-list":     fixed("/analytics/courses/?sort=revenue&currency=USD&limit=5", nil),
	"analytics-courses-get":      onAnalytics("", nil),
	"analytics-timeseries":       onAnalytics("timeseries/?interval=week&tz=Asia/Almaty&from=2026-01-31T12:00:00Z&to=2026-03-01T00:00:00%2B03:00", nil),
	"analytics-funnel":           onAnalytics("funnel/", nil),
	"analytics-dropout":          onAnalytics("dropout/", nil),
	"analytics-retention":        onAnalytics("retention/", nil),
	"analytics-chart":            onAnalytics("chart.svg", nil),
	"analytics-events-list":      onAnalytics("events/", nil),
	"analytics-users-get":        fixed("/analytics/users/student/", nil),
	"analytics-users-activity":   fixed("/analytics/users/student/activity/", nil),
	"analytics-teachers-revenue": fixed("/analytics/teachers/owner/revenue/", nil),
	"analytics-collect":          fixed("/analytics/events/", object{"events": []object{{"type": "search", "session": "s", "properties": object{"q": "go"}}}}),

	"reports-create": fixed("/analytics/reports/", object{"kind": "courses", "format": "csv", "status": "draft"}),
	"reports-get": func(w *world, _ subject) request {
		return request{"/analytics/reports/" + w.doneReport().ID.String() + "/", nil}
	},
	"files-get": func(w *world, _ subject) request { return request{"/files/" + w.doneReport().Token + "/", nil} },

	"jobs-list":  fixed("/admin/jobs/?state=waiting&kind=test", nil),
	"jobs-get":   func(w *world, _ subject) request { return request{"/admin/jobs/" + w.job() + "/", nil} },
	"jobs-retry": func(w *world, _ subject) request { return request{"/admin/jobs/" + w.job() + "/retry/", nil} },

	"orders-create": func(w *world, _ subject) request {
		return request{"/orders/", object{"course": w.course(courses.Published).slug}}
	},
	"orders-list":   fixed("/orders/?status=pending", nil),
	"orders-get":    func(w *world, _ subject) request { return request{"/orders/" + w.order(false) + "/", nil} },
	"orders-refund": func(w *world, _ subject) request { return request{"/orders/" + w.order(true) + "/refund/", nil} },
	"coupons-list":  fixed("/coupons/", nil),
	"coupons-create": func(w *world, _ subject) request {
		return request{"/coupons/", object{"code": w.name(), "percent": 10, "limit": 5}}
	},
	"coupons-get": func(w *world, _ subject) request { return request{"/coupons/" + w.coupon() + "/", nil} },
	"coupons-update": func(w *world, _ subject) request {
		return request{"/coupons/" + w.coupon() + "/", object{"percent": 20}}
	},
	"coupons-delete": func(w *world, _ subject) request { return request{"/coupons/" + w.coupon() + "/", nil} },
	// of somebody who has no key
	"payments-webhook": fixed("/payments/webhooks/fake/", object{"id": "evt"}),

	"courses-top":      fixed("/courses/top/", nil),
	"courses-trending": fixed("/courses/trending/", nil),
	"courses-get":      of("/", nil),
	"courses-create": func(*world, subject) request {
		return request{"/courses/", object{"title": "New", "teacher": "owner", "tags": []string{"go"}, "price": object{"amount_minor": 1, "currency": "USD"}}}
	},
	"courses-update":   of("/", object{"title": "Changed", "tags": []string{"go"}}),
	"courses-replace":  of("/", object{"title": "Replaced", "category": "programming", "price": object{"amount_minor": 5, "currency": "USD"}}),
	"courses-delete":   of("/", nil),
	"courses-submit":   of("/submit/", nil),
	"courses-publish":  of("/publish/", nil),
	"courses-reject":   of("/reject/", object{"reason": "Too short"}),
	"courses-archive":  of("/archive/", nil),
	"courses-restore":  of("/restore/", nil),
	"courses-reassign": of("/teacher/", object{"teacher": "owner"}),

	"courses-enroll": func(w *world, s subject) request {
		if s.slug != "x" {
			w.priced(s, 0)
		}
		return s.at("/enroll/", nil)
	},
	"courses-leave": func(w *world, s subject) request {
		w.granted(s)
		return s.at("/enroll/", nil)
	},
	"grants-create": of("/grants/", object{"user": "student"}),
	"grants-delete": func(w *world, s subject) request {
		w.granted(s)
		return s.at("/grants/student/", nil)
	},
	"enrollments-list":     fixed("/enrollments/?status=active", nil),
	"enrollments-get":      func(w *world, _ subject) request { return w.learning().at("/", nil) },
	"enrollments-progress": func(w *world, _ subject) request { return w.learning().at("/progress/", nil) },
	"enrollments-resume": func(w *world, _ subject) request {
		l := w.learning()
		return l.at("/resume/", object{"lesson": l.course.lessons[0], "seconds": 5})
	},
	"lessons-complete": func(w *world, _ subject) request {
		l := w.learning()
		return l.at("/lessons/"+l.course.lessons[0]+"/complete/", nil)
	},
	"bookmarks-list":   fixed("/bookmarks/", nil),
	"bookmarks-set":    func(w *world, _ subject) request { return request{"/bookmarks/" + w.learning().course.slug + "/", nil} },
	"bookmarks-delete": func(w *world, _ subject) request { return request{"/bookmarks/" + w.learning().course.slug + "/", nil} },

	"recommendations-list": fixed("/recommendations/?limit=5&language=ru", nil),
	"recommendations-interact": func(w *world, _ subject) request {
		return request{"/recommendations/interact/", object{"course": w.learning().course.slug, "type": "view"}}
	},
	"recommendations-dismiss": func(w *world, _ subject) request {
		return request{"/recommendations/" + w.learning().course.slug + "/dismiss/", nil}
	},
	"recommendations-undismiss": func(w *world, _ subject) request {
		return request{"/recommendations/" + w.learning().course.slug + "/dismiss/", nil}
	},
	"recommendations-train": fixed("/recommendations/train/", nil),
	"preferences-list":      fixed("/recommendations/preferences/", nil),
	"preferences-reset":     fixed("/recommendations/preferences/", nil),
	"courses-similar":       of("/similar/?limit=5", nil),

	"modules-list":   of("/modules/", nil),
	"modules-create": of("/modules/", object{"title": "Third", "position": 1}),
	"modules-get":    func(_ *world, s subject) request { return s.at("/modules/"+s.modules[0]+"/", nil) },
	"modules-update": func(_ *world, s subject) request {
		return s.at("/modules/"+s.modules[0]+"/", object{"title": "Changed"})
	},
	"modules-delete": func(_ *world, s subject) request { return s.at("/modules/"+s.modules[0]+"/", nil) },
	"modules-reorder": func(_ *world, s subject) request {
		return s.at("/modules/reorder/", object{"modules": []string{s.modules[1], s.modules[0]}})
	},
	"lessons-list": of("/lessons/", nil),
	"lessons-create": func(_ *world, s subject) request {
		return s.at("/lessons/", object{"module": s.modules[0], "title": "Third", "kind": "text"})
	},
	"lessons-get": func(_ *world, s subject) request { return s.at("/lessons/"+s.lessons[0]+"/", nil) },
	"lessons-update": func(_ *world, s subject) request {
		return s.at("/lessons/"+s.lessons[0]+"/", object{"title": "Changed"})
	},
	"certificates-issue": func(w *world, _ subject) request {
		return request{"/enrollments/" + w.completed() + "/certificate/", nil}
	},
	"certificates-get": func(w *world, _ subject) request {
		w.certificate()
		return request{"/enrollments/" + w.completed() + "/certificate/", nil}
	},
	"certificates-verify": func(w *world, _ subject) request {
		return request{"/certificates/" + w.certificate() + "/verify/", nil}
	},
	"certificates-pdf":    func(w *world, _ subject) request { return request{"/certificates/" + w.certificate() + "/pdf/", nil} },
	"lessons-file-get":    func(w *world, s subject) request { return s.at(w.withFile(s, true), nil) },
	"lessons-file-put":    func(w *world, s subject) request { return s.at(w.withFile(s, false)+"?name=a.txt", "some text") },
	"lessons-file-delete": func(w *world, s subject) request { return s.at(w.withFile(s, true), nil) },
	"lessons-delete":      func(_ *world, s subject) request { return s.at("/lessons/"+s.lessons[0]+"/", nil) },
	"lessons-reorder": func(_ *world, s subject) request {
		return s.at("/lessons/reorder/", object{"module": s.modules[0], "lessons": []string{s.lessons[1], s.lessons[0]}})
	},
}

type object = map[string]any

// completed returns the id of an enrollment of the student in a course of the owner
// that is completed.
func (w *world) completed() string {
	if w.enrollment != 0 {
		return fmt.Sprint(w.enrollment)
	}
	t, ctx, s := w.t, w.t.Context(), w.course(courses.Published)
	_, err := w.p.Courses.Edit(ctx, accounts.System, s.slug, courses.CourseEdit{Price: &core.Money{Currency: "USD"}})
	require.NoError(t, err)
	student, err := w.p.Accounts.UserByUsername(ctx, "student")
	require.NoError(t, err)
	by := core.Actor{UserID: student.ID, Role: student.Role}
	e, err := w.p.Courses.Enroll(ctx, by, s.slug, "")
	require.NoError(t, err)
	for _, text := range s.lessons {
		id, err := strconv.ParseInt(text, 10, 64)
		require.NoError(t, err)
		_, err = w.p.Courses.CompleteLesson(ctx, by, e.ID, courses.LessonID(id))
		require.NoError(t, err)
	}
	w.enrollment = e.ID
	return fmt.Sprint(e.ID)
}

// certificate returns the code of the certificate of completed.
func (w *world) certificate() string {
	w.completed()
	c, err := w.p.Courses.IssueCertificate(w.t.Context(), accounts.System, w.enrollment)
	require.NoError(w.t, err)
	return c.Code
}

// withFile makes the first lesson of a course one with a file, where it is a course, and
// returns the path of that.
func (w *world) withFile(s subject, ready bool) string {
	t, ctx := w.t, w.t.Context()
	if s.slug == "x" { // only the path is asked for
		return "/lessons/1/file/"
	}
	id, err := strconv.ParseInt(s.lessons[0], 10, 64)
	require.NoError(t, err)
	kind := courses.File
	_, err = w.p.Courses.EditLesson(ctx, accounts.System, s.slug, courses.LessonID(id), courses.LessonEdit{Kind: &kind})
	require.NoError(t, err)
	if ready {
		f, err := w.p.Courses.Upload(ctx, accounts.System, s.slug, courses.LessonID(id), courses.NewFile{Name: "Notes.pdf", Body: strings.NewReader("%PDF-1.7\n")})
		require.NoError(t, err)
		require.NoError(t, w.p.Courses.ProcessLessonFile(ctx, f.ID))
	}
	return "/lessons/" + s.lessons[0] + "/file/"
}

func fixed(path string, body any) func(*world, subject) request {
	return func(*world, subject) request { return request{path, body} }
}

// of is a request about the course itself.
func of(path string, body any) func(*world, subject) request {
	return func(_ *world, s subject) request { return s.at(path, body) }
}

// onAnalytics is a request about the analytics of the course.
func onAnalytics(path string, body any) func(*world, subject) request {
	return func(_ *world, s subject) request { return request{"/analytics/courses/" + s.slug + "/" + path, body} }
}

func (s subject) at(path string, body any) request { return request{"/courses/" + s.slug + path, body} }

// onReview is a request about a new review.
func onReview(before, behind string, body any) func(*world, subject) request {
	return func(w *world, _ subject) request { return request{fmt.Sprint(before, w.review().ID, behind), body} }
}

// review returns a new review of the student on a new course.
func (w *world) review() reviews.Review {
	made, err := w.p.Reviews.Create(w.t.Context(), w.actor("student"), w.bare(), reviews.New{Rating: 5})
	require.NoError(w.t, err)
	return made
}

// bare returns the slug of a new published course of the owner that has nothing in it.
func (w *world) bare() string {
	slug, owner := w.name(), w.actor("owner")
	require.NoError(w.t, w.b.Courses.Update(w.t.Context(), func(ctx context.Context, tx courses.Tx) error {
		_, err := tx.InsertCourses(ctx, []courses.Course{{
			Slug: slug, Title: slug, Status: courses.Published, Price: core.Money{Currency: "USD"}, Teacher: courses.Teacher{ID: owner.UserID},
		}})
		return err
	}))
	return slug
}

func (w *world) actor(name string) core.Actor {
	u, err := w.p.Accounts.UserByUsername(w.t.Context(), name)
	require.NoError(w.t, err)
	return core.Actor{UserID: u.ID, Role: u.Role}
}

// everybody takes every course.
type everybody struct{}

func (everybody) Learner(context.Context, courses.CourseID, core.UserID) (reviews.Learner, error) {
	return reviews.Learner{Enrolled: true, Percent: 100}, nil
}

func (w *world) refreshToken() string {
	tokens, err := w.p.Accounts.Login(w.t.Context(), accounts.Credentials{Login: "student", Password: password}, accounts.Client{})
	require.NoError(w.t, err)
	return string(tokens.Refresh)
}

// ask sends a request as somebody. A body that is a string is sent as it is.
func (w *world) ask(who, method, path string, body any, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	var r *http.Request
	if !strings.HasPrefix(path, "/healthz") && !strings.HasPrefix(path, "/readyz") {
		path = httpapi.Prefix + path
	}
	switch text, raw := body.(string); {
	case body == nil:
		r = httptest.NewRequest(method, path, nil)
	case raw:
		r = httptest.NewRequest(method, path, strings.NewReader(text))
	default:
		encoded, err := json.Marshal(body)
		require.NoError(w.t, err)
		r = httptest.NewRequest(method, path, strings.NewReader(string(encoded)))
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token := w.tokens[who]; token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	w.h.ServeHTTP(answer, r)
	return answer
}

// engines opens an empty database of each kind, and a handle to look into it.
func engines() map[string]func(t *testing.T) (*storage.Backend, *sql.DB) {
	return map[string]func(t *testing.T) (*storage.Backend, *sql.DB){
		"sqlite": func(t *testing.T) (*storage.Backend, *sql.DB) {
			path := filepath.Join(t.TempDir(), "ustat.db")
			b, err := sqlite.Open(t.Context(), path, nil)
			require.NoError(t, err)
			return b, handle(t, b, "sqlite", path)
		},
		"postgres": func(t *testing.T) (*storage.Backend, *sql.DB) {
			dsn := pgtest.DSN(t)
			b, err := postgres.Open(t.Context(), dsn, nil)
			require.NoError(t, err)
			return b, handle(t, b, "pgx", dsn)
		},
	}
}

func handle(t *testing.T, b *storage.Backend, driver, dsn string) *sql.DB {
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, db.Close())
		require.NoError(t, b.Close())
	})
	return db
}

// snapshot returns all that is stored, but for sessions, keys and logs.
func (w *world) snapshot() string {
	var out strings.Builder
	for _, table := range []string{
		"users", "profiles", "specializations", "producer_teachers", "categories", "tags", "courses", "course_stats", "course_tags", "course_slugs",
		"modules", "lessons", "lesson_files", "orders", "coupons", "coupon_uses", "entitlements", "enrollments", "certificates", "reports", "outbox", "audit",
		"reviews", "review_stats", "review_votes", "review_comments", "review_reports", "review_history",
	} {
		rows, err := w.db.QueryContext(w.t.Context(), "SELECT * FROM ustat_"+table+" ORDER BY 1, 2")
		require.NoError(w.t, err)
		columns, err := rows.Columns()
		require.NoError(w.t, err)
		for rows.Next() {
			values, places := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				places[i] = &values[i]
			}
			require.NoError(w.t, rows.Scan(places...))
			fmt.Fprintln(&out, table, values)
		}
		require.NoError(w.t, rows.Err())
		require.NoError(w.t, rows.Close())
	}
	return out.String()
}

// encode returns the JSON of a value.
func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

// fieldsOf returns the fields that the document says an operation's body has.
func fieldsOf(t *testing.T, op httpapi.Operation) map[string]bool {
	t.Helper()
	document, err := httpapi.OpenAPI("v1")
	require.NoError(t, err)
	doc := decode(t, bytes.NewReader(document))
	fields := map[string]bool{}
	body, ok := at(t, doc, "paths", op.Path, strings.ToLower(op.Method))["requestBody"]
	if !ok {
		return fields
	}
	ref := at(t, body, "content", "application/json", "schema")["$ref"].(string)
	for name := range at(t, doc, "components", "schemas", strings.TrimPrefix(ref, "#/components/schemas/"), "properties") {
		fields[name] = true
	}
	return fields
}
