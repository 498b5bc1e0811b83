package httpapi

import (
	"context"
	"net/http"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

const (
	coursesPath = Prefix + "/courses/"
	coursePath  = coursesPath + "{slug}/"
)

func (a *api) mountAuthoring() {
	const tag = "courses"
	send(a, route{
		method: http.MethodPost, path: coursesPath, id: "courses-create", tag: tag, summary: "Create a draft",
		description: "A teacher creates their own, a producer one for a linked teacher, an admin one for anybody who may teach. The slug is made from the title unless one is given.",
		status:      http.StatusCreated, long: true, keyed: true, signedIn: true,
	}, a.createCourse)
	send(a, route{
		method: http.MethodPatch, path: coursePath, id: "courses-update", tag: tag, summary: "Change a course",
		description: "What is left out stays. An old slug leads to the new one from then on.", long: true, versioned: true, signedIn: true,
	}, a.editCourse)
	send(a, route{
		method: http.MethodPut, path: coursePath, id: "courses-replace", tag: tag, summary: "Write a course anew",
		description: "What is left out is emptied, but for the slug.", long: true, versioned: true, signedIn: true,
	}, a.replaceCourse)
	send(a, route{
		method: http.MethodDelete, path: coursePath, id: "courses-delete", tag: tag, summary: "Delete a course that never was published",
		description: "Any other is archived.", versioned: true, signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (none, error) {
		return none{}, a.platform.Courses.Delete(ctx, c.actor, c.path("slug"), c.version)
	})
	a.mountStatus()
	a.mountTree()
	a.mountModules()
	a.mountLessons()
	a.mountLessonFiles()
}

func (a *api) createCourse(ctx context.Context, c *call, in courses.NewCourse) (course, error) {
	in.Key = c.key()
	return c.created(a.platform.Courses.Create(ctx, c.actor, in))
}

func (a *api) editCourse(ctx context.Context, c *call, in courses.CourseEdit) (course, error) {
	in.IfVersion = c.version
	return c.course(a.platform.Courses.Edit(ctx, c.actor, c.path("slug"), in))
}

func (a *api) replaceCourse(ctx context.Context, c *call, in courses.CourseReplacement) (course, error) {
	in.IfVersion = c.version
	return c.course(a.platform.Courses.Replace(ctx, c.actor, c.path("slug"), in))
}

// course shows a course with the version that If-Match takes.
func (c *call) course(found courses.Course, err error) (course, error) {
	if err != nil {
		return course{}, err
	}
	c.at = found.Version
	c.spoken(found.Language)
	out := courseOf(found)
	out.Prerequisites = append([]string{}, found.Prerequisites...)
	return out, nil
}

func (c *call) created(made courses.Course, err error) (course, error) {
	if err == nil {
		c.location = coursesPath + made.Slug + "/"
	}
	return c.course(made, err)
}

func (a *api) mountStatus() {
	move := func(name, summary, description string, do func(s *courses.Service, ctx context.Context, by core.Actor, slug string, ifVersion int64) (courses.Course, error)) {
		send(a, route{
			method: http.MethodPost, path: coursePath + name + "/", id: "courses-" + name, tag: "courses", summary: summary,
			description: description, versioned: true, signedIn: true,
		}, func(ctx context.Context, c *call, _ none) (course, error) {
			return c.course(do(a.platform.Courses, ctx, c.actor, c.path("slug"), c.version))
		})
	}
	move("submit", "Submit a draft for review", "It needs a title, a category, a price and one module with one lesson.", (*courses.Service).Submit)
	move("publish", "Publish a course in review", "Admins only.", (*courses.Service).Publish)
	move("archive", "Take a published course off the catalogue", "", (*courses.Service).Archive)
	move("restore", "Make an archived course a draft again", "", (*courses.Service).Restore)
	send(a, route{
		method: http.MethodPost, path: coursePath + "reject/", id: "courses-reject", tag: "courses", summary: "Send a course in review back to its author",
		description: "Admins only.", versioned: true, signedIn: true,
	}, func(ctx context.Context, c *call, in rejection) (course, error) {
		return c.course(a.platform.Courses.Reject(ctx, c.actor, c.path("slug"), in.Reason, c.version))
	})
	send(a, route{
		method: http.MethodPut, path: coursePath + "teacher/", id: "courses-reassign", tag: "courses", summary: "Give a course to another teacher",
		description: "Admins only.", signedIn: true,
	}, func(ctx context.Context, c *call, in newTeacher) (course, error) {
		return c.course(a.platform.Courses.Reassign(ctx, c.actor, c.path("slug"), in.Teacher))
	})
}

type rejection struct {
	Reason string `json:"reason" validate:"required,max=2000"`
}

type newTeacher struct {
	Teacher string `json:"teacher" validate:"required,max=64" doc:"Username"`
}

func (a *api) mountTree() {
	const tag = "courses"
	send(a, route{
		method: http.MethodPost, path: coursesPath + "categories/", id: "categories-create", tag: tag, summary: "Add a category",
		description: "Admins only. The slug is made from the name unless one is given.", status: http.StatusCreated, signedIn: true,
	}, func(ctx context.Context, c *call, in courses.NewCategory) (category, error) {
		made, err := a.platform.Courses.CreateCategory(ctx, c.actor, in)
		c.location = Prefix + "/categories/" + made.Slug + "/"
		return c.category(made, err)
	})
	send(a, route{
		method: http.MethodPatch, path: Prefix + "/categories/{slug}/", id: "categories-update", tag: tag, summary: "Change a category, or move it",
		description: "Admins only.", versioned: true, signedIn: true,
	}, func(ctx context.Context, c *call, in courses.CategoryEdit) (category, error) {
		in.IfVersion = c.version
		return c.category(a.platform.Courses.EditCategory(ctx, c.actor, c.path("slug"), in))
	})
	send(a, route{
		method: http.MethodDelete, path: Prefix + "/categories/{slug}/", id: "categories-delete", tag: tag, summary: "Remove a category",
		description: "Admins only. One with courses or with categories below it is removed only with move_to.", signedIn: true,
		query: []param{{name: "move_to", doc: "Slug of the category, not below this one, that its courses and the categories below it go to"}},
	}, func(ctx context.Context, c *call, _ none) (none, error) {
		return none{}, a.platform.Courses.DeleteCategory(ctx, c.actor, c.path("slug"), c.args.text("move_to"))
	})
	get(a, route{
		path: Prefix + "/tags/{slug}/", id: "tags-get", tag: tag, summary: "One tag",
	}, func(ctx context.Context, c *call) (courseTag, error) {
		return c.tag(a.platform.Courses.Tag(ctx, c.path("slug")))
	})
	send(a, route{
		method: http.MethodPost, path: coursesPath + "tags/", id: "tags-create", tag: tag, summary: "Add a tag",
		description: "Admins only. The slug is made from the name unless one is given.", status: http.StatusCreated, signedIn: true,
	}, func(ctx context.Context, c *call, in courses.NewTag) (courseTag, error) {
		made, err := a.platform.Courses.CreateTag(ctx, c.actor, in)
		c.location = Prefix + "/tags/" + made.Slug + "/"
		return c.tag(made, err)
	})
	send(a, route{
		method: http.MethodPatch, path: Prefix + "/tags/{slug}/", id: "tags-update", tag: tag, summary: "Change a tag",
		description: "Admins only.", versioned: true, signedIn: true,
	}, func(ctx context.Context, c *call, in courses.TagEdit) (courseTag, error) {
		in.IfVersion = c.version
		return c.tag(a.platform.Courses.EditTag(ctx, c.actor, c.path("slug"), in))
	})
	send(a, route{
		method: http.MethodDelete, path: Prefix + "/tags/{slug}/", id: "tags-delete", tag: tag, summary: "Remove a tag, and take it off its courses",
		description: "Admins only.", signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (none, error) {
		return none{}, a.platform.Courses.DeleteTag(ctx, c.actor, c.path("slug"))
	})
}

func (c *call) category(found courses.Category, err error) (category, error) {
	if err != nil {
		return category{}, err
	}
	c.at = found.Version
	return categoryOf(found), nil
}

func (c *call) tag(found courses.Tag, err error) (courseTag, error) {
	c.at = found.Version
	return tagOf(found), err
}
