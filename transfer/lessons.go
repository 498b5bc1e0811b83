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
}

const (
	lessonCourse = iota
	lessonModule
	lessonPosition
	lessonTitle
	lessonKind
	lessonContent
	lessonDuration
)

// lessons reads lessons.csv. An empty duration_seconds is 0.
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

// lessonAt is where a stored lesson is.
type lessonAt struct {
	module   courses.ModuleID
	position int
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
		l, there := stored[lessonAt{module.ID, r.position}]
		next := l
		next.CourseID, next.ModuleID, next.ModulePosition, next.Position = course, module.ID, r.module, r.position
		next.Title, next.Kind, next.Content, next.Duration = r.title, r.kind, r.content, r.duration
		next.TextPolicy = richtext.Version
		switch {
		case !there:
			inserts = append(inserts, next)
		case l.Title != next.Title || l.Kind != next.Kind || l.Content != next.Content || l.TextPolicy != next.TextPolicy || l.Duration != next.Duration:
			updates = append(updates, next)
		}
	}
	return changes{len(inserts), len(updates), func(ctx context.Context) error {
		return t.write(ctx, inserts, updates)
	}}, nil
}

// stored returns the lessons of the modules that the rows name.
func (t *lessons) stored(ctx context.Context, rows []row[lesson], known map[string]courses.CourseID,
	modules map[moduleAt]courses.Module,
) (map[lessonAt]courses.Lesson, error) {
	seen := map[courses.ModuleID]bool{}
	var ids []courses.ModuleID
	for i := range rows {
		r := &rows[i].cell
		if m, ok := modules[moduleAt{known[r.course], r.module}]; ok && !seen[m.ID] {
			seen[m.ID] = true
			ids = append(ids, m.ID)
		}
	}
	found, err := t.store.LessonsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	return indexBy(found, func(l courses.Lesson) lessonAt { return lessonAt{l.ModuleID, l.Position} }), nil
}

func (t *lessons) write(ctx context.Context, inserts, updates []courses.Lesson) error {
	return t.store.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
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
