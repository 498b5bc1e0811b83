package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

func (a *api) mountModules() {
	const tag = "courses"
	one := coursePath + "modules/{id}/"
	get(a, route{
		path: one, id: "modules-get", tag: tag, summary: "One module of a course",
	}, func(ctx context.Context, c *call) (module, error) {
		id, err := c.module()
		if err != nil {
			return module{}, err
		}
		return c.showModule(a.platform.Courses.Module(ctx, c.actor, c.path("slug"), id))
	})
	send(a, route{
		method: http.MethodPost, path: coursePath + "modules/", id: "modules-create", tag: tag, summary: "Add a module to a course",
		status: http.StatusCreated, long: true, keyed: true, signedIn: true,
	}, func(ctx context.Context, c *call, in courses.NewModule) (module, error) {
		in.Key = c.key()
		made, err := a.platform.Courses.CreateModule(ctx, c.actor, c.path("slug"), in)
		c.location = fmt.Sprintf("%s%s/modules/%d/", coursesPath, c.path("slug"), made.ID)
		return c.showModule(made, err)
	})
	send(a, route{
		method: http.MethodPatch, path: one, id: "modules-update", tag: tag, summary: "Change a module", long: true, versioned: true, signedIn: true,
	}, func(ctx context.Context, c *call, in courses.ModuleEdit) (module, error) {
		id, err := c.module()
		if err != nil {
			return module{}, err
		}
		in.IfVersion = c.version
		return c.showModule(a.platform.Courses.EditModule(ctx, c.actor, c.path("slug"), id, in))
	})
	send(a, route{
		method: http.MethodDelete, path: one, id: "modules-delete", tag: tag, summary: "Remove a module with its lessons",
		description: "A course in review or published keeps one lesson.", versioned: true, signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (none, error) {
		id, err := c.module()
		if err != nil {
			return none{}, err
		}
		return none{}, a.platform.Courses.DeleteModule(ctx, c.actor, c.path("slug"), id, c.version)
	})
	send(a, route{
		method: http.MethodPost, path: coursePath + "modules/reorder/", id: "modules-reorder", tag: tag, summary: "Put the modules of a course in order", signedIn: true,
	}, a.reorderModules)
}

func (c *call) module() (courses.ModuleID, error) {
	id, err := c.id("id", courses.ErrModuleNotFound)
	return courses.ModuleID(id), err
}

func (c *call) showModule(m courses.Module, err error) (module, error) {
	if err != nil {
		return module{}, err
	}
	c.at = m.Version
	c.spoken(m.Language)
	return moduleOf(m), nil
}

type moduleOrder struct {
	Modules []string `json:"modules" validate:"required,max=500" doc:"The ids of all modules of the course, in their new order"`
}

func (a *api) reorderModules(ctx context.Context, c *call, in moduleOrder) (list[module], error) {
	ids, err := idsOf[courses.ModuleID]("modules", in.Modules)
	if err != nil {
		return list[module]{}, err
	}
	if err := a.platform.Courses.ReorderModules(ctx, c.actor, c.path("slug"), ids); err != nil {
		return list[module]{}, err
	}
	page, err := a.platform.Courses.Modules(ctx, c.actor, c.path("slug"), core.Page{Limit: core.MaxLimit})
	return present(page.Items, page.Next, moduleOf), err
}

// idsOf reads a list of opaque ids.
func idsOf[ID ~int64](field string, texts []string) ([]ID, error) {
	ids := make([]ID, len(texts))
	var bad []core.Violation
	for i, text := range texts {
		n, err := idOf(fmt.Sprintf("%s[%d]", field, i), text)
		if err != nil && len(bad) < maxViolations {
			bad = append(bad, err.Violations...)
		}
		ids[i] = ID(n)
	}
	if bad != nil {
		return nil, core.ErrInvalid.With(bad...)
	}
	return ids, nil
}

// idOf reads an opaque id of a body.
func idOf(field, text string) (int64, *core.Error) {
	n, code, _, _ := param{kind: opaque}.parse(text)
	if code != "" {
		return 0, core.Invalid(field, "unknown", "", text, "there is nothing with this id")
	}
	return n, nil
}

func (a *api) mountLessons() {
	const tag = "courses"
	one := coursePath + "lessons/{id}/"
	get(a, route{
		path: one, id: "lessons-get", tag: tag, summary: "One lesson of a course", description: "Locked as in the list of lessons.",
	}, func(ctx context.Context, c *call) (lesson, error) {
		id, err := c.lesson()
		if err != nil {
			return lesson{}, err
		}
		return c.showLesson(a.platform.Courses.Lesson(ctx, c.actor, c.path("slug"), id))
	})
	send(a, route{
		method: http.MethodPost, path: coursePath + "lessons/", id: "lessons-create", tag: tag, summary: "Add a lesson to a module of a course",
		status: http.StatusCreated, long: true, keyed: true, signedIn: true,
	}, a.createLesson)
	send(a, route{
		method: http.MethodPatch, path: one, id: "lessons-update", tag: tag, summary: "Change a lesson", long: true, versioned: true, signedIn: true,
	}, func(ctx context.Context, c *call, in courses.LessonEdit) (lesson, error) {
		id, err := c.lesson()
		if err != nil {
			return lesson{}, err
		}
		in.IfVersion = c.version
		return c.showLesson(a.platform.Courses.EditLesson(ctx, c.actor, c.path("slug"), id, in))
	})
	send(a, route{
		method: http.MethodDelete, path: one, id: "lessons-delete", tag: tag, summary: "Remove a lesson",
		description: "A course in review or published keeps one lesson.", versioned: true, signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (none, error) {
		id, err := c.lesson()
		if err != nil {
			return none{}, err
		}
		return none{}, a.platform.Courses.DeleteLesson(ctx, c.actor, c.path("slug"), id, c.version)
	})
	send(a, route{
		method: http.MethodPost, path: coursePath + "lessons/reorder/", id: "lessons-reorder", tag: tag, summary: "Put the lessons of a module in order",
		description: "Lessons of other modules of the course may be taken in.", signedIn: true,
	}, a.reorderLessons)
}

func (c *call) lesson() (courses.LessonID, error) {
	id, err := c.id("id", courses.ErrLessonNotFound)
	return courses.LessonID(id), err
}

func (c *call) showLesson(l courses.Lesson, err error) (lesson, error) {
	if err != nil {
		return lesson{}, err
	}
	c.at = l.Version
	c.spoken(l.Language)
	return lessonOf(l), nil
}

type lessonInput struct {
	Module string `json:"module" validate:"required,max=20" doc:"The id of its module"`
	courses.NewLesson
}

func (a *api) createLesson(ctx context.Context, c *call, in lessonInput) (lesson, error) {
	id, bad := idOf("module", in.Module)
	if bad != nil {
		return lesson{}, bad
	}
	in.Key = c.key()
	made, err := a.platform.Courses.CreateLesson(ctx, c.actor, c.path("slug"), courses.ModuleID(id), in.NewLesson)
	c.location = coursesPath + c.path("slug") + "/lessons/" + strconv.FormatInt(int64(made.ID), 10) + "/"
	return c.showLesson(made, err)
}

type lessonOrder struct {
	Module  string   `json:"module" validate:"required,max=20" doc:"The id of the module"`
	Lessons []string `json:"lessons" validate:"required,max=500" doc:"The ids of all its lessons, and of those it takes in, in their new order"`
}

func (a *api) reorderLessons(ctx context.Context, c *call, in lessonOrder) (list[lesson], error) {
	module, bad := idOf("module", in.Module)
	if bad != nil {
		return list[lesson]{}, bad
	}
	ids, err := idsOf[courses.LessonID]("lessons", in.Lessons)
	if err != nil {
		return list[lesson]{}, err
	}
	if err := a.platform.Courses.ReorderLessons(ctx, c.actor, c.path("slug"), courses.ModuleID(module), ids); err != nil {
		return list[lesson]{}, err
	}
	page, err := a.platform.Courses.Lessons(ctx, c.actor, c.path("slug"), courses.ModuleID(module), core.Page{Limit: core.MaxLimit})
	return present(page.Items, page.Next, lessonOf), err
}
