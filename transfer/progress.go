package transfer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

type completion struct {
	course, user   string
	module, lesson int // positions
	at             time.Time
}

const (
	progressCourse = iota
	progressUser
	progressModule
	progressPosition
	progressCompleted
)

// completions reads progress.csv: lessons that were completed by those who are
// enrolled, whatever the status. An empty completed_at leaves what is stored, and is
// the time of the import for a new one. Enrollments stay as they are: that all lessons
// are done makes none completed.
type completions struct {
	store    courses.Store
	accounts accounts.Reader
	clock    core.Clock
}

func newCompletions(backend *storage.Backend, clock core.Clock) *completions {
	return &completions{backend.Courses, backend.Accounts, clock}
}

func (t *completions) columns() []column {
	return []column{{"course", true}, {"user", true}, {"module_position", true}, {"position", true}, {"completed_at", true}}
}

func (t *completions) parse(c *cells) completion {
	return completion{
		course: c.reference(progressCourse),
		user:   c.reference(progressUser),
		module: c.number(progressModule, 1),
		lesson: c.number(progressPosition, 1),
		at:     c.time(progressCompleted),
	}
}

type completionKey struct {
	course, user   string
	module, lesson int
}

func (t *completions) repeated(r *completion, seen *keySet) string {
	if !addKey(seen, completionKey{r.course, core.Fold(r.user), r.module, r.lesson}) {
		return "position"
	}
	return ""
}

func (t *completions) plan(ctx context.Context, rows []row[completion], refuse refuseFunc) (changes, error) {
	if len(rows) == 0 {
		return changes{}, nil
	}
	resolved, err := t.resolve(ctx, rows, refuse)
	if err != nil {
		return changes{}, err
	}
	stored, err := t.store.ProgressAt(ctx, resolved)
	if err != nil {
		return changes{}, err
	}
	type pair struct {
		enrollment courses.EnrollmentID
		lesson     courses.LessonID
	}
	had := indexBy(stored, func(p courses.LessonProgress) pair { return pair{p.Enrollment, p.Lesson} })
	now, inserted := core.Time(t.clock.Now()), 0
	var list []courses.LessonProgress
	for _, p := range resolved {
		was, there := had[pair{p.Enrollment, p.Lesson}]
		switch {
		case there && (p.CompletedAt.IsZero() || p.CompletedAt.Equal(was.CompletedAt)):
			continue
		case !there:
			inserted++
			if p.CompletedAt.IsZero() {
				p.CompletedAt = now
			}
		}
		list = append(list, p)
	}
	// So that two imports at once take them in one order.
	slices.SortFunc(list, func(a, b courses.LessonProgress) int {
		return cmp.Or(cmp.Compare(a.Enrollment, b.Enrollment), cmp.Compare(a.Lesson, b.Lesson))
	})
	return changes{inserted, len(list) - inserted, func(ctx context.Context) error {
		return t.store.Update(ctx, func(ctx context.Context, tx courses.Tx) error { return tx.SetProgress(ctx, list) })
	}}, nil
}

// resolve returns the enrollments and lessons of the rows that are not refused.
func (t *completions) resolve(ctx context.Context, rows []row[completion], refuse refuseFunc) ([]courses.LessonProgress, error) {
	known, err := t.store.CourseIDs(ctx, distinct(rows, func(r *completion) string { return r.course }))
	if err != nil {
		return nil, err
	}
	users, err := usersNamed(ctx, t.accounts, distinct(rows, func(r *completion) string { return r.user }))
	if err != nil {
		return nil, err
	}
	lessons, err := t.lessons(ctx, rows)
	if err != nil {
		return nil, err
	}
	pairs := map[learnerKey]bool{}
	for i := range rows {
		r := &rows[i].cell
		pairs[learnerKey{known[r.course], users[core.Fold(r.user)].ID}] = true
	}
	list := make([]learnerKey, 0, len(pairs))
	for p := range pairs {
		list = append(list, p)
	}
	enrolled, err := enrollmentsOf(ctx, t.store, list)
	if err != nil {
		return nil, err
	}
	out := make([]courses.LessonProgress, 0, len(rows))
	for i := range rows {
		r := &rows[i].cell
		course, user := known[r.course], users[core.Fold(r.user)].ID
		e := enrolled[learnerKey{course, user}]
		lesson := lessons[courses.Place{Course: r.course, Module: r.module, Lesson: r.lesson}]
		switch {
		case course == 0:
			refuse(i, "course", "there is no course "+quote(r.course))
		case user == 0:
			refuse(i, "user", "there is no user "+quote(r.user))
		case e.ID == 0:
			refuse(i, "user", fmt.Sprintf("the user %s is not enrolled in the course %s", quote(r.user), quote(r.course)))
		case lesson == 0:
			refuse(i, "position", fmt.Sprintf("the course %s has no lesson %d in a module %d", quote(r.course), r.lesson, r.module))
		default:
			out = append(out, courses.LessonProgress{Enrollment: e.ID, Lesson: lesson, CompletedAt: r.at})
		}
	}
	return out, nil
}

// lessons returns the ids of the lessons that stand where the rows say.
func (t *completions) lessons(ctx context.Context, rows []row[completion]) (map[courses.Place]courses.LessonID, error) {
	ids := make(map[courses.Place]courses.LessonID, len(rows))
	var places []courses.Place
	for i := range rows {
		r := &rows[i].cell
		at := courses.Place{Course: r.course, Module: r.module, Lesson: r.lesson}
		if _, asked := ids[at]; !asked {
			ids[at] = 0
			places = append(places, at)
		}
	}
	found, err := t.store.LessonRefs(ctx, places)
	for _, p := range found {
		ids[courses.Place{Course: p.Course, Module: p.Item.ModulePosition, Lesson: p.Item.Position}] = p.Item.ID
	}
	return ids, err
}

func (t *completions) finish(ctx context.Context, event *core.Event) error {
	return emitCourses(ctx, t.store, event)
}
