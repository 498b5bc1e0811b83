package transfer

import (
	"context"
	"fmt"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/richtext"
)

const maxContent = 500_000 // bytes

type lesson struct {
	course           string
	module, position int
	title            string
	kind             courses.Kind
	content          string
	duration         time.Duration
	preview          bool
	hasPreview       bool
	opensAt          time.Time
	opensAfter       int
	hasOpens         [2]bool
}

const (
	lessonCourse = iota
	lessonModule
	lessonPosition
	lessonTitle
	lessonKind
	lessonContent
	lessonDuration
	lessonPreview
	lessonOpensAt
	lessonOpensAfter
)

// lessons reads lessons.csv. An empty duration_seconds is 0, an
// empty opens_at no time, an empty opens_after_days 0; of these a column that is not in
// the file leaves what is stored, and of free_preview an empty cell too.
type lessons struct{ store courses.Store }

func (t *lessons) columns() []column {
	return []column{
		{"course", true},
		{"module_position", true},
		{"position", true},
		{"title", true},
		{"kind", true},
		{"content", true},
		{"duration_seconds", true},
		{"free_preview", false},
		{"opens_at", false},
		{"opens_after_days", false},
	}
}

func (t *lessons) parse(c *cells) lesson {
	row := lesson{
		course:   c.reference(lessonCourse),
		module:   c.number(lessonModule, 1),
		position: c.number(lessonPosition, 1),
		title:    c.title(lessonTitle, maxTitle),
		kind:     oneOf(c, lessonKind, courses.Text, courses.Video, courses.File),
		content:  c.rich(lessonContent, maxContent, courses.MaxContent),
	}
	if c.raw(lessonDuration) != "" {
		row.duration = time.Duration(c.number(lessonDuration, 0)) * time.Second
	}
	if row.hasPreview = c.raw(lessonPreview) != ""; row.hasPreview {
		row.preview = oneOf(c, lessonPreview, "false", "true") == "true"
	}
	row.opensAt, row.hasOpens = c.time(lessonOpensAt), [2]bool{c.has(lessonOpensAt), c.has(lessonOpensAfter)}
	if c.raw(lessonOpensAfter) != "" {
		if row.opensAfter = c.number(lessonOpensAfter, 0); row.opensAfter > courses.MaxDripDays {
			c.refuse(lessonOpensAfter, "more than %d days", courses.MaxDripDays)
		}
	}
	return row
}

type lessonKey struct {
	course           string
	module, position int
}

func (t *lessons) repeated(r *lesson, seen *keySet) string {
	if !addKey(seen, lessonKey{r.course, r.module, r.position}) {
		return "position"
	}
	return ""
}

func (t *lessons) plan(ctx context.Context, rows []row[lesson], refuse refuseFunc) (changes, error) {
	if len(rows) == 0 {
		return changes{}, nil
	}
	known, modules, err := modulesOf(ctx, t.store, distinct(rows, func(r *lesson) string { return r.course }))
	if err != nil {
		return changes{}, err
	}
	stored, err := t.stored(ctx, rows, known, modules)
	if err != nil {
		return changes{}, err
	}
	var inserts, updates []courses.Lesson
	for i := range rows {
		r := &rows[i].cell
		course, ok := known[r.course]
		if !ok {
			refuse(i, "course", "there is no course "+quote(r.course))
			continue
		}
		module, ok := modules[moduleAt{course, r.module}]
		if !ok {
			refuse(i, "module_position", fmt.Sprintf("the course %s has no module %d", quote(r.course), r.module))
			continue
		}
		l, there := stored[courses.LessonPlace{Module: module.ID, Position: r.position}]
		next := l.Lesson
		next.CourseID, next.ModuleID, next.ModulePosition, next.Position = course, module.ID, r.module, r.position
		next.Title, next.Kind, next.Content, next.Duration = r.title, r.kind, r.content, r.duration
		next.TextPolicy = richtext.Version
		if r.hasPreview {
			next.FreePreview = r.preview
		}
		if r.hasOpens[0] {
			next.OpensAt = r.opensAt
		}
		if r.hasOpens[1] {
			next.OpensAfterDays = r.opensAfter
		}
		switch {
		case !there:
			inserts = append(inserts, next)
		case l.Title != next.Title || l.Kind != next.Kind || !l.sameContent || l.TextPolicy != next.TextPolicy || l.Duration != next.Duration ||
			l.FreePreview != next.FreePreview || !l.OpensAt.Equal(next.OpensAt) || l.OpensAfterDays != next.OpensAfterDays:
			updates = append(updates, next)
		}
	}
	return changes{len(inserts), len(updates), func(ctx context.Context) error {
		return t.write(ctx, inserts, updates, modules)
	}}, nil
}

// storedLesson is a lesson without its content, and whether that is the row's.
type storedLesson struct {
	courses.Lesson
	sameContent bool
}

// stored returns the lessons at the places of the rows. Their content is compared as
// it comes and not kept: a batch has up to 8 MiB, but what is stored may be far larger.
func (t *lessons) stored(ctx context.Context, rows []row[lesson], known map[string]courses.CourseID,
	modules map[moduleAt]courses.Module,
) (map[courses.LessonPlace]storedLesson, error) {
	byPlace := make(map[courses.LessonPlace]*lesson, len(rows))
	places := make([]courses.LessonPlace, 0, len(rows))
	for i := range rows {
		r := &rows[i].cell
		if m, ok := modules[moduleAt{known[r.course], r.module}]; ok {
			place := courses.LessonPlace{Module: m.ID, Position: r.position}
			byPlace[place] = r
			places = append(places, place)
		}
	}
	found := make(map[courses.LessonPlace]storedLesson, len(places))
	err := t.store.LessonsAt(ctx, places, func(l courses.Lesson) {
		place := courses.LessonPlace{Module: l.ModuleID, Position: l.Position}
		same := l.Content == byPlace[place].content
		l.Content = ""
		found[place] = storedLesson{l, same}
	})
	return found, err
}

// write writes lessons whose modules, and which themselves, are as they were planned
// with; else it fails with core.ErrConflict.
func (t *lessons) write(ctx context.Context, inserts, updates []courses.Lesson, modules map[moduleAt]courses.Module) error {
	var ids []courses.CourseID
	planned := map[courses.ModuleID]int64{}
	for _, list := range [...][]courses.Lesson{inserts, updates} {
		for _, l := range list {
			ids = append(ids, l.CourseID)
			planned[l.ModuleID] = modules[moduleAt{l.CourseID, l.ModulePosition}].Version
		}
	}
	plannedLessons := make(map[courses.LessonID]int64, len(updates))
	for _, l := range updates {
		plannedLessons[l.ID] = l.Version
	}
	return t.store.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
		if _, err := tx.LockCourses(ctx, ids); err != nil {
			return err
		}
		if err := unchanged(ctx, planned, tx.ModuleVersions); err != nil {
			return err
		}
		if err := unchanged(ctx, plannedLessons, tx.LessonVersions); err != nil {
			return err
		}
		if len(inserts) > 0 {
			if _, err := tx.InsertLessons(ctx, inserts); err != nil {
				return err
			}
		}
		if len(updates) == 0 {
			return nil
		}
		return tx.UpdateLessons(ctx, updates)
	})
}

func (t *lessons) finish(ctx context.Context, event *core.Event) error {
	return emitCourses(ctx, t.store, event)
}
