package courses_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

func TestACourseIsCreatedEditedAndRead(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c, err := w.Create(t.Context(), w.ann, whole("Основы Go"))
		require.NoError(t, err)
		require.Equal(t, "osnovy-go", c.Slug)
		require.Equal(t, courses.Draft, c.Status)
		require.EqualValues(t, 1, c.Version)
		require.Equal(t, "Person ann", c.Teacher.Name)
		require.Equal(t, "<p>About &amp; <b>more</b></p>", c.Description)
		require.Equal(t, "web", c.Category.Slug)
		require.Equal(t, []string{"C++", "Go"}, []string{c.Tags[0].Name, c.Tags[1].Name})
		read := func() courses.Course {
			got, err := w.Course(t.Context(), w.ann, "osnovy-go")
			require.NoError(t, err)
			return got
		}
		require.Equal(t, c, read(), "what a change returns is what is read")

		edited, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{
			Title: ptr("Go, глубже"), Tags: &[]string{"go"}, Description: ptr("**bold**"), Format: "markdown", IfVersion: 1,
		})
		require.NoError(t, err)
		require.Equal(t, edited, read())
		require.Equal(t, "Go, глубже", edited.Title)
		require.Equal(t, "<p><strong>bold</strong></p>", edited.Description)
		require.Equal(t, "none", edited.Requirements, "what is not given stays")
		require.Len(t, edited.Tags, 1)
		require.EqualValues(t, 2, edited.Version)
		require.True(t, edited.UpdatedAt.After(c.UpdatedAt))

		_, err = w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Title: ptr("lost"), IfVersion: 1})
		require.ErrorIs(t, err, core.ErrVersion)
		replaced, err := w.Replace(t.Context(), w.ann, c.Slug, courses.CourseReplacement{Title: "Bare", IfVersion: 2})
		require.NoError(t, err)
		require.Equal(t, replaced, read())
		require.Equal(t, "osnovy-go", replaced.Slug)
		require.Empty(t, replaced.Description+replaced.Requirements+replaced.Language+replaced.Category.Slug+replaced.Price.Currency)
		require.Empty(t, replaced.Tags)
		require.Equal(t, []string{courses.EventCreated, courses.EventUpdated, courses.EventUpdated}, w.events(t))
	})
}

func TestEveryBadFieldIsNamedTogether(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		bad := courses.NewCourse{
			Title: " x\n", Slug: "search", Description: strings.Repeat("&", 50_000), Requirements: "\x00", Format: "rtf", Language: "not a language",
			Price: &core.Money{Minor: -1, Currency: "rub"}, Category: "nothing", Tags: []string{"go", "NOT", "nothing", "c-plus-plus"}, Teacher: "nobody",
		}
		_, err := w.Create(t.Context(), w.admin, bad)
		require.ErrorIs(t, err, core.ErrInvalid)
		require.ElementsMatch(t, []string{
			"title", "slug", "requirements", "format", "language", "price.amount_minor", "price.currency", "category", "tags[1]", "tags[2]", "teacher",
		}, fields(t, err))
		bad.Format = ""
		_, err = w.Create(t.Context(), w.admin, bad)
		require.Contains(t, fields(t, err), "description", "it is 250,000 bytes once it is made safe")
		var many []string
		for i := range courses.MaxTags + 1 {
			many = append(many, fmt.Sprint("tag-", i))
		}
		_, err = w.Create(t.Context(), w.ann, courses.NewCourse{Title: strings.Repeat("я", 201), Tags: many})
		require.ElementsMatch(t, []string{"title", "tags"}, fields(t, err))
		_, err = w.Create(t.Context(), w.ann, courses.NewCourse{Title: strings.Repeat("я", 200), Tags: []string{"go", "go"}, Description: strings.Repeat("a", courses.MaxRichInput+1)})
		require.ElementsMatch(t, []string{"tags", "description"}, fields(t, err))
		c, err := w.Create(t.Context(), w.ann, courses.NewCourse{Title: "x", Description: strings.Repeat("a", courses.MaxDescription)})
		require.NoError(t, err)
		_, err = w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{
			Title: ptr(""), Slug: ptr("Not A Slug"), Category: ptr("nothing"), Tags: &[]string{"nothing"}, Price: &core.Money{Currency: "XXXX"}, Language: ptr("??"),
			Description: ptr(strings.Repeat("a", courses.MaxDescription+1)),
		})
		require.ElementsMatch(t, []string{"title", "slug", "category", "tags[0]", "price.currency", "language", "description"}, fields(t, err))
		again, err := w.Course(t.Context(), w.ann, c.Slug)
		require.NoError(t, err)
		require.Equal(t, c, again, "a refused change changes nothing")
	})
}

func TestTheTeacherOfANewCourse(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			by      core.Actor
			teacher string
			want    string // the username, or a field that is bad
			err     error
		}{
			{w.ann, "", "ann", nil},
			{w.ann, "ANN", "ann", nil},
			{w.ann, "bob", "", core.ErrForbidden},
			{w.ann, "sam", "", core.ErrForbidden},
			{w.pam, "nobody", "", core.ErrForbidden},
			{w.pam, "ann", "ann", nil},
			{w.pam, "bob", "", core.ErrForbidden},
			{w.pam, "", "teacher", core.ErrInvalid},
			{w.admin, "", "root", nil},
			{w.admin, "bob", "bob", nil},
			{w.admin, "sam", "teacher", core.ErrInvalid},
			{w.admin, "nobody", "teacher", core.ErrInvalid},
			{core.Actor{UserID: -1, Role: core.Admin}, "", "teacher", core.ErrInvalid},
			{core.Actor{UserID: -1, Role: core.Admin}, "ann", "ann", nil},
			{w.sam, "", "", core.ErrForbidden},
			{w.nobody, "", "", core.ErrUnauthenticated},
			{w.sam, "ann", "", core.ErrForbidden},
		} {
			got, err := w.Create(t.Context(), c.by, courses.NewCourse{Title: "Title", Teacher: c.teacher})
			require.ErrorIs(t, err, c.err, "%v for %q", c.by, c.teacher)
			switch {
			case c.err == nil:
				require.Equal(t, c.want, got.Teacher.Username)
			case errors.Is(err, core.ErrInvalid):
				require.Equal(t, []string{c.want}, fields(t, err))
			}
		}
	})
}

func TestSlugsOfTitles(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		for _, c := range [][2]string{
			{"Go", "go"},
			{"Go", "go-2"},
			{"GO!", "go-3"},
			{"???", "course"},
			{"!", "course-2"},
			{"Search", "search-2"},
			{"Search", "search-3"},
			{"Жук", "zhuk"},
			{strings.Repeat("a", 130), strings.Repeat("a", 120)},
			{strings.Repeat("a", 130), strings.Repeat("a", 118) + "-2"},
		} {
			got, err := w.Create(t.Context(), w.ann, courses.NewCourse{Title: c[0]})
			require.NoError(t, err)
			require.Equal(t, c[1], got.Slug)
		}
		_, err := w.Create(t.Context(), w.ann, courses.NewCourse{Title: "x", Slug: "go-2"})
		require.ErrorIs(t, err, courses.ErrSlugTaken)
	})
}

func TestFiftyCreatorsOfOneTitleGetFiftySlugs(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		for i, slug := range []string{"one-title", "one-title-3", "one-title-5"} { // old slugs in the way
			in := whole("x")
			in.Slug = slug
			c := w.in(t, w.filled(t, in), courses.Published)
			_, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Slug: ptr(fmt.Sprint("renamed-", i))})
			require.NoError(t, err)
		}
		const creators = 50
		made := make([]courses.Course, creators)
		require.NoError(t, errors.Join(together(creators, func(i int) (err error) {
			made[i], err = w.Create(context.Background(), w.ann, courses.NewCourse{Title: "One title"})
			return err
		})...))
		slugs := map[string]bool{"one-title": true, "one-title-3": true, "one-title-5": true}
		for _, c := range made {
			require.False(t, slugs[c.Slug], "%s is given twice", c.Slug)
			require.True(t, strings.HasPrefix(c.Slug, "one-title-"), c.Slug)
			slugs[c.Slug] = true
		}
		n, err := w.Count(t.Context(), w.ann, courses.Filter{Status: courses.Draft})
		require.NoError(t, err)
		require.Equal(t, creators, n)
	})
}

func TestAKeyCreatesOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		in := whole("Go")
		in.Key = "k1"
		made := make([]courses.Course, 8)
		require.NoError(t, errors.Join(together(len(made), func(i int) (err error) {
			made[i], err = w.Create(context.Background(), w.ann, in)
			return err
		})...))
		for _, c := range made {
			require.Equal(t, made[0], c)
		}
		n, err := w.Count(t.Context(), w.ann, courses.Filter{Status: courses.Draft})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		in.Title = "Another"
		_, err = w.Create(t.Context(), w.ann, in)
		require.ErrorIs(t, err, core.ErrKeyReused)
		_, err = w.Create(t.Context(), w.admin, in)
		require.NoError(t, err, "the key of another is another key")
	})
}

func TestARenameKeepsOldSlugs(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.in(t, w.course(t, "First"), courses.Published)
		for _, slug := range []string{"second", "third"} {
			var err error
			c, err = w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Slug: ptr(slug)})
			require.NoError(t, err)
		}
		for _, slug := range []string{"first", "second", "third"} {
			got, err := w.Course(t.Context(), w.nobody, slug)
			require.NoError(t, err)
			require.Equal(t, c, got)
			modules, err := w.Modules(t.Context(), w.nobody, slug, core.Page{})
			require.NoError(t, err)
			require.Len(t, modules.Items, 1)
		}
		_, err := w.Create(t.Context(), w.bob, courses.NewCourse{Title: "x", Slug: "first"})
		require.ErrorIs(t, err, courses.ErrSlugTaken)
		made, err := w.Create(t.Context(), w.bob, courses.NewCourse{Title: "First"})
		require.NoError(t, err)
		require.Equal(t, "first-2", made.Slug)
		_, err = w.Edit(t.Context(), w.bob, made.Slug, courses.CourseEdit{Slug: ptr("second")})
		require.ErrorIs(t, err, courses.ErrSlugTaken)
		got, err := w.Edit(t.Context(), w.ann, "second", courses.CourseEdit{Slug: ptr("first")})
		require.NoError(t, err, "by an old slug, back to the oldest")
		require.Equal(t, "first", got.Slug)
		got, err = w.Course(t.Context(), w.nobody, "third")
		require.NoError(t, err)
		require.Equal(t, "first", got.Slug)
		_, err = w.Course(t.Context(), w.nobody, "never")
		require.ErrorIs(t, err, courses.ErrCourseNotFound)
	})
}

func TestOfConcurrentEditsOfOneVersionOneWins(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.course(t, "Go")
		errs := together(12, func(i int) error {
			_, err := w.Edit(context.Background(), []core.Actor{w.ann, w.pam, w.admin}[i%3], c.Slug, courses.CourseEdit{Title: ptr(fmt.Sprint("by ", i)), IfVersion: 1})
			return err
		})
		won := 0
		for i, err := range errs {
			if err == nil {
				won++
				got, err := w.Course(t.Context(), w.ann, c.Slug)
				require.NoError(t, err)
				require.Equal(t, fmt.Sprint("by ", i), got.Title)
				require.EqualValues(t, 2, got.Version)
				continue
			}
			require.ErrorIs(t, err, core.ErrVersion)
		}
		require.Equal(t, 1, won)
	})
}

func TestAPublishedCourseStaysComplete(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		for _, status := range []courses.Status{courses.InReview, courses.Published} {
			c := w.in(t, w.course(t, "Go"), status)
			_, err := w.Replace(t.Context(), w.ann, c.Slug, courses.CourseReplacement{Title: "Bare"})
			require.ErrorIs(t, err, courses.ErrIncomplete)
			require.Equal(t, []string{"category", "price"}, fields(t, err))
			got, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Title: ptr("Other")})
			require.NoError(t, err)
			require.Equal(t, status, got.Status)
		}
	})
}

func TestDeletingACourse(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.course(t, "Go")
		require.ErrorIs(t, w.Delete(t.Context(), w.ann, c.Slug, 7), core.ErrVersion)
		require.ErrorIs(t, w.Delete(t.Context(), w.bob, c.Slug, 0), courses.ErrCourseNotFound)
		require.NoError(t, w.Delete(t.Context(), w.ann, c.Slug, 1))
		_, err := w.Course(t.Context(), w.ann, c.Slug)
		require.ErrorIs(t, err, courses.ErrCourseNotFound)
		has, err := w.HasCourses(t.Context(), w.ann.UserID)
		require.NoError(t, err)
		require.False(t, has)

		c = w.in(t, w.course(t, "Go"), courses.Archived)
		c, err = w.Restore(t.Context(), w.ann, c.Slug, 0)
		require.NoError(t, err)
		require.ErrorIs(t, w.Delete(t.Context(), w.ann, c.Slug, 0), courses.ErrNotDeletable, "it was published once")

		c = w.course(t, "SQL")
		db, err := sql.Open(w.driver, w.dsn)
		require.NoError(t, err)
		defer db.Close()
		_, err = db.Exec("UPDATE ustat_course_stats SET students = 1 WHERE course_id = $1", int64(c.ID))
		require.NoError(t, err)
		require.ErrorIs(t, w.Delete(t.Context(), w.ann, c.Slug, 0), courses.ErrNotDeletable)
		_, err = db.Exec("UPDATE ustat_course_stats SET students = 0 WHERE course_id = $1", int64(c.ID))
		require.NoError(t, err)
		// Rows of somebody else refer to its lessons.
		for _, statement := range []string{
			"CREATE TABLE theirs (lesson_id BIGINT NOT NULL REFERENCES ustat_lessons (id))",
			fmt.Sprint("INSERT INTO theirs SELECT id FROM ustat_lessons WHERE course_id = ", c.ID),
		} {
			_, err = db.Exec(statement)
			require.NoError(t, err)
		}
		require.ErrorIs(t, w.Delete(t.Context(), w.ann, c.Slug, 0), courses.ErrCourseInUse)
		lessons, err := w.Lessons(t.Context(), w.ann, c.Slug, 0, core.Page{})
		require.NoError(t, err)
		require.Len(t, lessons.Items, 1, "nothing is deleted")
	})
}

func TestReassign(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.in(t, w.course(t, "Go"), courses.Published)
		_, err := w.Reassign(t.Context(), w.ann, c.Slug, "bob")
		require.ErrorIs(t, err, core.ErrForbidden)
		for _, name := range []string{"sam", "nothing", "a\x00b", ""} {
			_, err = w.Reassign(t.Context(), w.admin, c.Slug, name)
			require.ErrorIs(t, err, core.ErrInvalid, name)
			require.Equal(t, []string{"teacher"}, fields(t, err))
		}
		w.events(t)
		got, err := w.Reassign(t.Context(), w.admin, c.Slug, "bob")
		require.NoError(t, err)
		require.Equal(t, "bob", got.Teacher.Username)
		require.Equal(t, []string{courses.EventReassigned}, w.events(t))
		_, err = w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Title: ptr("mine")})
		require.ErrorIs(t, err, core.ErrForbidden)
		has, err := w.HasCourses(t.Context(), w.bob.UserID)
		require.NoError(t, err)
		require.True(t, has)
	})
}

// What an operation costs does not depend on how much there is.
func TestStatementsAreFixed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.course(t, "Go")
		m, err := w.CreateModule(t.Context(), w.ann, c.Slug, courses.NewModule{Title: "Two"})
		require.NoError(t, err)
		count := func(call func(ctx context.Context) error) int {
			ctx, queries := storage.CountQueries(t.Context())
			require.NoError(t, call(ctx))
			return queries.Count()
		}
		ids := func() []courses.LessonID {
			ids, err := w.backend.Courses.LessonIDs(t.Context(), c.ID, m.ID)
			require.NoError(t, err)
			slices.Reverse(ids)
			return ids
		}
		measure := func() map[string]int {
			return map[string]int{
				"create": count(func(ctx context.Context) error {
					_, err := w.Create(ctx, w.ann, whole("New "+fmt.Sprint(w.clock.Now().Unix())))
					return err
				}),
				"edit": count(func(ctx context.Context) error {
					_, err := w.Edit(ctx, w.ann, c.Slug, courses.CourseEdit{Title: ptr(fmt.Sprint("T", w.clock.Now().Unix())), Tags: &[]string{"go", "c-plus-plus"}})
					return err
				}),
				"insert": count(func(ctx context.Context) error {
					_, err := w.CreateLesson(ctx, w.ann, c.Slug, m.ID, courses.NewLesson{Title: "x", Kind: courses.Text, Position: 1})
					return err
				}),
				"order": count(func(ctx context.Context) error { return w.ReorderLessons(ctx, w.ann, c.Slug, m.ID, ids()) }),
			}
		}
		for range 2 {
			_, err := w.CreateLesson(t.Context(), w.ann, c.Slug, m.ID, courses.NewLesson{Title: "x", Kind: courses.Text})
			require.NoError(t, err)
		}
		few := measure()
		for range 40 {
			_, err := w.CreateLesson(t.Context(), w.ann, c.Slug, m.ID, courses.NewLesson{Title: "x", Kind: courses.Text})
			require.NoError(t, err)
		}
		require.Equal(t, few, measure())
		t.Logf("statements: %v", few)
		require.Less(t, few["edit"], 25)
	})
}
