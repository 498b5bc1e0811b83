package transfer

import (
	"context"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/richtext"
)

type module struct {
	course         string
	position       int
	title          string
	description    string
	hasDescription bool
}

const (
	moduleCourse = iota
	modulePosition
	moduleTitle
	moduleDescription
)

// modules reads modules.csv. A description column that is not in the file leaves what
// is stored.
type modules struct{ store courses.Store }

func (t *modules) columns() []column {
	return []column{{"course", true}, {"position", true}, {"title", true}, {"description", false}}
}

func (t *modules) parse(c *cells) module {
	return module{
		course:   c.reference(moduleCourse),
		position: c.number(modulePosition, 1),
		title:    c.title(moduleTitle, maxTitle),

		description:    c.rich(moduleDescription, maxDescription, maxDescription),
		hasDescription: c.has(moduleDescription),
	}
}

type moduleKey struct {
	course   string
	position int
}

func (t *modules) repeated(r *module, seen *keySet) string {
	if !addKey(seen, moduleKey{r.course, r.position}) {
		return "position"
	}
	return ""
}

// moduleAt is where a stored module is.
type moduleAt struct {
	course   courses.CourseID
	position int
}

// modulesOf returns the courses of the names and their modules.
func modulesOf(ctx context.Context, store courses.Reader, names []string) (map[string]courses.CourseID, map[moduleAt]courses.Module, error) {
	known, err := store.CourseIDs(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	ids := make([]courses.CourseID, 0, len(known))
	for _, id := range known {
		ids = append(ids, id)
	}
	found, err := store.ModulesOf(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	return known, indexBy(found, func(m courses.Module) moduleAt { return moduleAt{m.CourseID, m.Position} }), nil
}

func (t *modules) plan(ctx context.Context, rows []row[module], refuse refuseFunc) (changes, error) {
	if len(rows) == 0 {
		return changes{}, nil
	}
	known, stored, err := modulesOf(ctx, t.store, distinct(rows, func(r *module) string { return r.course }))
	if err != nil {
		return changes{}, err
	}
	var inserts, updates []courses.Module
	for i := range rows {
		r := &rows[i].cell
		course, ok := known[r.course]
		if !ok {
			refuse(i, "course", "there is no course "+quote(r.course))
			continue
		}
		m, there := stored[moduleAt{course, r.position}]
		next := r.over(m)
		switch {
		case !there:
			next.CourseID, next.Position = course, r.position
			inserts = append(inserts, next)
		case m != next:
			updates = append(updates, next)
		}
	}
	return changes{len(inserts), len(updates), func(ctx context.Context) error {
		return t.write(ctx, inserts, updates)
	}}, nil
}

// over returns m with the cells of the row.
func (r *module) over(m courses.Module) courses.Module {
	m.Title = r.title
	switch {
	case r.hasDescription:
		m.Description, m.TextPolicy = r.description, richtext.Version
	case m.ID == 0:
		m.TextPolicy = richtext.Version
	}
	return m
}

// write writes modules which are as they were planned with; else it fails with
// core.ErrConflict.
func (t *modules) write(ctx context.Context, inserts, updates []courses.Module) error {
	var ids []courses.CourseID
	for _, m := range inserts {
		ids = append(ids, m.CourseID)
	}
	planned := make(map[courses.ModuleID]int64, len(updates))
	for _, m := range updates {
		ids = append(ids, m.CourseID)
		planned[m.ID] = m.Version
	}
	return t.store.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
		if err := lockAll(ctx, tx, ids); err != nil {
			return err
		}
		if err := unchanged(ctx, planned, tx.ModuleVersions); err != nil {
			return err
		}
		if len(inserts) > 0 {
			if _, err := tx.InsertModules(ctx, inserts); err != nil {
				return err
			}
		}
		if len(updates) == 0 {
			return nil
		}
		return tx.UpdateModules(ctx, updates)
	})
}

func (t *modules) finish(ctx context.Context, event *core.Event) error {
	return emitCourses(ctx, t.store, event)
}

// lockAll locks courses, and fails with errChanged where one is gone.
func lockAll(ctx context.Context, tx courses.Tx, ids []courses.CourseID) error {
	locked, err := tx.LockCourses(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if locked[id] == 0 {
			return errChanged
		}
	}
	return nil
}
