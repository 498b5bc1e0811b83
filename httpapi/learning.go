package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

const (
	enrollmentsPath = Prefix + "/enrollments/"
	enrollmentPath  = enrollmentsPath + "{id}/"
	learningTag     = "learning"
)

func (a *api) mountLearning() {
	send(a, route{
		method: http.MethodPost, path: coursePath + "enroll/", id: "courses-enroll", tag: learningTag, summary: "Enroll in a course",
		description: "In a full course this is a place on the waiting list: status waiting. Who has one already gets it as it is.", keyed: true, signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (enrollment, error) {
		return showEnrollment(a.platform.Courses.Enroll(ctx, c.actor, c.path("slug"), c.key()))
	})
	send(a, route{
		method: http.MethodDelete, path: coursePath + "enroll/", id: "courses-leave", tag: learningTag, summary: "Give up an enrollment",
		description: "The progress is kept for who comes back. The seat goes to who has waited longest. An admin's call shuts nobody out: to take a right away, refund the order or delete the grant.", signedIn: true,
		query: []param{{name: "user", doc: "Username of another, for admins"}},
	}, func(ctx context.Context, c *call, _ none) (enrollment, error) {
		return showEnrollment(a.platform.Courses.Cancel(ctx, c.actor, c.path("slug"), c.args.text("user")))
	})
	send(a, route{
		method: http.MethodPost, path: coursePath + "grants/", id: "grants-create", tag: learningTag, summary: "Give somebody a place in a course",
		description: "Whatever its price. Those who may edit the course may.", signedIn: true,
	}, func(ctx context.Context, c *call, in grant) (enrollment, error) {
		return showEnrollment(a.platform.Courses.Grant(ctx, c.actor, c.path("slug"), in.User))
	})
	send(a, route{
		method: http.MethodDelete, path: coursePath + "grants/{user}/", id: "grants-delete", tag: learningTag, summary: "Take back a place that was given",
		description: "Those who may edit the course may.", signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (enrollment, error) {
		return showEnrollment(a.platform.Courses.Revoke(ctx, c.actor, c.path("slug"), c.path("user")))
	})
	a.mountEnrollments()
	a.mountBookmarks()
}

func (a *api) mountEnrollments() {
	get(a, route{
		path: enrollmentsPath, id: "enrollments-list", tag: learningTag, summary: "List enrollments",
		description: "One's own, the newest first. Of a course, who may edit it sees everybody's; who waits for a seat comes in the order of the waiting list.", signedIn: true,
		query: append(pageParams(),
			param{name: "user", doc: "Username of another, for admins and, with course, for who may edit that"},
			param{name: "course", doc: "Slug"},
			param{name: "status", kind: choice, choices: names(courses.EnrollmentStatuses[:])}),
	}, func(ctx context.Context, c *call) (list[enrollment], error) {
		page, err := a.platform.Courses.Enrollments(ctx, c.actor, courses.EnrollmentFilter{
			User: c.args.text("user"), Course: c.args.text("course"), Status: courses.EnrollmentStatus(c.args.text("status")),
		}, c.page())
		return present(page.Items, page.Next, enrollmentOf), err
	})
	get(a, route{
		path: enrollmentPath, id: "enrollments-get", tag: learningTag, summary: "One enrollment", signedIn: true,
		description: "For its learner, for who may edit its course, and for admins.",
	}, func(ctx context.Context, c *call) (enrollment, error) {
		id, err := c.enrollment()
		if err != nil {
			return enrollment{}, err
		}
		return showEnrollment(a.platform.Courses.Enrollment(ctx, c.actor, id))
	})
	get(a, route{
		path: enrollmentPath + "progress/", id: "enrollments-progress", tag: learningTag, summary: "How far a learner is", signedIn: true,
		description: "With the lessons of the course that are done, by id.", query: pageParams(),
	}, func(ctx context.Context, c *call) (progress, error) {
		id, err := c.enrollment()
		if err != nil {
			return progress{}, err
		}
		p, err := a.platform.Courses.Progress(ctx, c.actor, id, c.page())
		return progressOf(p), err
	})
	send(a, route{
		method: http.MethodPost, path: enrollmentPath + "lessons/{lesson}/complete/", id: "lessons-complete", tag: learningTag, summary: "Say that a lesson is done", signedIn: true,
		description: "The last one completes the enrollment. A second time changes nothing.",
	}, func(ctx context.Context, c *call, _ none) (enrollment, error) {
		id, err := c.enrollment()
		if err != nil {
			return enrollment{}, err
		}
		lesson, err := c.id("lesson", courses.ErrLessonNotFound)
		if err != nil {
			return enrollment{}, err
		}
		return showEnrollment(a.platform.Courses.CompleteLesson(ctx, c.actor, id, courses.LessonID(lesson)))
	})
	send(a, route{
		method: http.MethodPut, path: enrollmentPath + "resume/", id: "enrollments-resume", tag: learningTag, summary: "Keep where the learner is", signedIn: true,
	}, func(ctx context.Context, c *call, in resumeInput) (enrollment, error) {
		id, err := c.enrollment()
		if err != nil {
			return enrollment{}, err
		}
		lesson, bad := idOf("lesson", in.Lesson)
		if bad != nil {
			return enrollment{}, bad
		}
		return showEnrollment(a.platform.Courses.SetResume(ctx, c.actor, id, courses.Resume{Lesson: courses.LessonID(lesson), Seconds: in.Seconds}))
	})
}

func (a *api) mountBookmarks() {
	get(a, route{
		path: Prefix + "/bookmarks/", id: "bookmarks-list", tag: learningTag, summary: "List the courses one has marked", signedIn: true,
		description: "The latest mark first.", query: pageParams(),
	}, func(ctx context.Context, c *call) (list[course], error) {
		page, err := a.platform.Courses.Bookmarks(ctx, c.actor, c.page())
		return present(page.Items, page.Next, courseOf), err
	})
	mark := func(method, id, summary string, do func(s *courses.Service, ctx context.Context, by core.Actor, slug string) error) {
		send(a, route{
			method: method, path: Prefix + "/bookmarks/{slug}/", id: id, tag: learningTag, summary: summary, signedIn: true,
		}, func(ctx context.Context, c *call, _ none) (none, error) {
			return none{}, do(a.platform.Courses, ctx, c.actor, c.path("slug"))
		})
	}
	mark(http.MethodPut, "bookmarks-set", "Mark a course", (*courses.Service).Bookmark)
	mark(http.MethodDelete, "bookmarks-delete", "Take the mark off a course", (*courses.Service).Unbookmark)
}

func (c *call) enrollment() (courses.EnrollmentID, error) {
	id, err := c.id("id", courses.ErrEnrollmentNotFound)
	return courses.EnrollmentID(id), err
}

type grant struct {
	User string `json:"user" validate:"required,max=64" doc:"Username"`
}

type resumeInput struct {
	Lesson  string `json:"lesson" validate:"required,max=20" doc:"The id of a lesson of the course"`
	Seconds int    `json:"seconds,omitempty" validate:"min=0,max=604800" doc:"Into a video"`
}

type enrollment struct {
	ID               string     `json:"id" doc:"Opaque"`
	Course           string     `json:"course" doc:"Slug"`
	CourseTitle      string     `json:"course_title"`
	User             string     `json:"user" doc:"Username"`
	Status           string     `json:"status" enum:"waiting,active,completed,cancelled,refunded" doc:"Active and completed give access"`
	Source           string     `json:"source" enum:"free,purchase,grant,import"`
	PricePaid        core.Money `json:"price_paid"`
	ProgressPercent  int        `json:"progress_percent" minimum:"0" maximum:"100"`
	Lessons          int        `json:"lessons" doc:"How many the course has now"`
	CompletedLessons int        `json:"completed_lessons" doc:"How many of these are done"`
	Resume           *resume    `json:"resume" doc:"null before the first"`
	EnrolledAt       time.Time  `json:"enrolled_at"`
	StartedAt        *time.Time `json:"started_at"`
	CompletedAt      *time.Time `json:"completed_at" doc:"It stays when lessons are added"`
	EndedAt          *time.Time `json:"ended_at"`
}

type resume struct {
	_       struct{} `nullable:"true"`
	Lesson  string   `json:"lesson"`
	Seconds int      `json:"seconds"`
}

func showEnrollment(e courses.Enrollment, err error) (enrollment, error) { return enrollmentOf(e), err }

func enrollmentOf(e courses.Enrollment) enrollment {
	out := enrollment{
		ID: strconv.FormatInt(int64(e.ID), 10), Course: e.Slug, CourseTitle: e.Title, User: e.Username, Status: string(e.Status), Source: string(e.Source),
		PricePaid: e.PricePaid, ProgressPercent: e.Percent(), Lessons: e.Lessons, CompletedLessons: e.Done, EnrolledAt: e.EnrolledAt.UTC(),
		StartedAt: timeOrNull(e.StartedAt), CompletedAt: timeOrNull(e.CompletedAt), EndedAt: timeOrNull(e.EndedAt),
	}
	if e.Resume.Lesson != 0 {
		out.Resume = &resume{Lesson: strconv.FormatInt(int64(e.Resume.Lesson), 10), Seconds: e.Resume.Seconds}
	}
	return out
}

// progress is how far a learner is, with a page of the lessons that are done.
type progress struct {
	Enrollment enrollment   `json:"enrollment"`
	NextLesson *string      `json:"next_lesson" doc:"The id of the first lesson that is not done; null where there is none"`
	Results    []doneLesson `json:"results" nullable:"false"`
	Next       *string      `json:"next" doc:"The cursor of the next page; null on the last"`
}

type doneLesson struct {
	Lesson      string    `json:"lesson"`
	CompletedAt time.Time `json:"completed_at"`
}

func progressOf(p courses.Progress) progress {
	done := present(p.Completed.Items, p.Completed.Next, func(l courses.LessonProgress) doneLesson {
		return doneLesson{Lesson: strconv.FormatInt(int64(l.Lesson), 10), CompletedAt: l.CompletedAt.UTC()}
	})
	out := progress{Enrollment: enrollmentOf(p.Enrollment), Results: done.Results, Next: done.Next}
	if p.Next != 0 {
		id := strconv.FormatInt(int64(p.Next), 10)
		out.NextLesson = &id
	}
	return out
}
