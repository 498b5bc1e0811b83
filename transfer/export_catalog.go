package transfer

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/richtext"
	"github.com/ustat/ustat/courses/slugs"
)

// How many rows are in memory at once: of those with long texts few.
const (
	exportPage     = 1000
	exportTexts    = 100 // of up to 200 KB
	exportReviews  = 500 // of up to 40 KB
	exportContents = 32  // of up to 1 MiB
)

func exportCategories(ctx context.Context, e *exporter, out *sheet) error {
	if err := out.header("slug", "name", "parent"); err != nil {
		return err
	}
	return pages(ctx, exportPage, func(ctx context.Context, last *courses.Category, limit int) ([]courses.Category, error) {
		after := ""
		if last != nil {
			after = last.Slug
		}
		return e.backend.Courses.Categories(ctx, after, limit)
	}, rowByRow(func(c *courses.Category) error { return out.row(c.Slug, c.Name, c.Parent) }))
}

// rowByRow returns what calls row for each of a page.
func rowByRow[T any](row func(*T) error) func([]T) error {
	return func(list []T) error {
		for i := range list {
			if err := row(&list[i]); err != nil {
				return err
			}
		}
		return nil
	}
}

func exportUsers(ctx context.Context, e *exporter, out *sheet) error {
	names := []string{"username", "email", "role", "full_name", "bio", "active"}
	if e.opts.Passwords {
		names = append(names, "password_hash")
	}
	if err := out.header(names...); err != nil {
		return err
	}
	return pages(ctx, exportPage, func(ctx context.Context, last *accounts.User, limit int) ([]accounts.User, error) {
		q := accounts.UserQuery{Limit: limit}
		if last != nil {
			q.After = core.Fold(last.Username)
		}
		return e.backend.Accounts.Users(ctx, q)
	}, rowByRow(func(u *accounts.User) error {
		cells := []string{u.Username, u.Email, string(u.Role), u.FullName, u.Bio, strconv.FormatBool(u.Active)}
		if e.opts.Passwords {
			cells = append(cells, u.PasswordHash)
		}
		return out.row(cells...)
	}))
}

// courses hands over the courses by slug, a page at a time.
func (e *exporter) courses(ctx context.Context, write func([]courses.Course) error) error {
	return pages(ctx, exportTexts, func(ctx context.Context, last *courses.Course, limit int) ([]courses.Course, error) {
		after := ""
		if last != nil {
			after = last.Slug
		}
		return e.backend.Courses.CoursesAfter(ctx, after, limit)
	}, write)
}

func exportCourses(ctx context.Context, e *exporter, out *sheet) error {
	if err := out.header("slug", "title", "description", "language", "category", "teacher", "price", "currency", "status", "tags", "created_at", "requirements", "capacity"); err != nil {
		return err
	}
	return e.courses(ctx, func(list []courses.Course) error {
		ids := make([]core.UserID, len(list))
		for i := range list {
			ids[i] = list[i].Teacher.ID
		}
		teachers, err := e.usernames(ctx, ids)
		if err != nil {
			return err
		}
		return rowByRow(func(c *courses.Course) error {
			return out.row(c.Slug, c.Title, shown(c.Description, c.TextPolicy), c.Language, c.Category.Slug, teachers[c.Teacher.ID],
				c.Price.Decimal(), c.Price.Currency, string(c.Status), tagCell(c.Tags), moment(c.CreatedAt), shown(c.Requirements, c.TextPolicy), strconv.Itoa(c.Capacity))
		})(list)
	})
}

// usernames returns the usernames of those of the users that exist, by one statement.
func (e *exporter) usernames(ctx context.Context, ids []core.UserID) (map[core.UserID]string, error) {
	distinct := map[core.UserID]bool{}
	once := make([]core.UserID, 0, len(ids))
	for _, id := range ids {
		if !distinct[id] {
			distinct[id] = true
			once = append(once, id)
		}
	}
	users, err := e.backend.Accounts.UsersByID(ctx, once)
	names := make(map[core.UserID]string, len(users))
	for _, u := range users {
		names[u.ID] = u.Username
	}
	return names, err
}

// tagCell returns tags as a cell, by slug: by name where that leads to the slug again,
// else by the slug itself.
func tagCell(tags []courses.Tag) string {
	bySlug(tags)
	names := make([]string, len(tags))
	for i, tag := range tags {
		names[i] = tag.Name
		if slugs.Make(tag.Name) != tag.Slug || strings.Contains(tag.Name, ";") {
			names[i] = tag.Slug
		}
	}
	return strings.Join(names, ";")
}

// shown returns rich text under the present policy, whichever it was stored under.
func shown(text string, policy int) string {
	if policy == richtext.Version {
		return text
	}
	clean, _ := richtext.HTML(text, richtext.PlainHTML) // of stored text there is no error
	return clean
}

func exportModules(ctx context.Context, e *exporter, out *sheet) error {
	if err := out.header("course", "position", "title", "description"); err != nil {
		return err
	}
	return pages(ctx, exportTexts, func(ctx context.Context, last *courses.Placed[courses.Module], limit int) ([]courses.Placed[courses.Module], error) {
		var after courses.Place
		if last != nil {
			after = courses.Place{Course: last.Course, Module: last.Item.Position}
		}
		return e.backend.Courses.ModulesAfter(ctx, after, limit)
	}, rowByRow(func(m *courses.Placed[courses.Module]) error {
		return out.row(m.Course, strconv.Itoa(m.Item.Position), m.Item.Title, shown(m.Item.Description, m.Item.TextPolicy))
	}))
}

func exportLessons(ctx context.Context, e *exporter, out *sheet) error {
	if err := out.header("course", "module_position", "position", "title", "kind", "content", "duration_seconds", "free_preview", "opens_at", "opens_after_days"); err != nil {
		return err
	}
	return pages(ctx, exportContents, func(ctx context.Context, last *courses.Placed[courses.Lesson], limit int) ([]courses.Placed[courses.Lesson], error) {
		var after courses.Place
		if last != nil {
			after = courses.Place{Course: last.Course, Module: last.Item.ModulePosition, Lesson: last.Item.Position}
		}
		return e.backend.Courses.LessonsAfter(ctx, after, limit)
	}, rowByRow(func(p *courses.Placed[courses.Lesson]) error {
		l := &p.Item
		return out.row(p.Course, strconv.Itoa(l.ModulePosition), strconv.Itoa(l.Position), l.Title, string(l.Kind), shown(l.Content, l.TextPolicy),
			strconv.FormatInt(int64(l.Duration/time.Second), 10), strconv.FormatBool(l.FreePreview), moment(l.OpensAt), strconv.Itoa(l.OpensAfterDays))
	}))
}
