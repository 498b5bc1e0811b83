package courses_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

func TestAKeyAnswersWhateverHasChangedSince(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		in := whole("Go")
		in.Key = "k1"
		c, err := w.Create(t.Context(), w.ann, in)
		require.NoError(t, err)
		module := courses.NewModule{Title: "One", Description: "<p>x</p>", Key: "k1"}
		m, err := w.CreateModule(t.Context(), w.ann, c.Slug, module)
		require.NoError(t, err)
		lesson := courses.NewLesson{Title: "First", Kind: courses.Text, Content: "Hello", DurationSeconds: 5, Key: "k1"}
		l, err := w.CreateLesson(t.Context(), w.ann, c.Slug, m.ID, lesson)
		require.NoError(t, err)
		other, err := w.CreateModule(t.Context(), w.ann, c.Slug, courses.NewModule{Title: "Other"})
		require.NoError(t, err)

		_, err = w.EditCategory(t.Context(), w.admin, "web", courses.CategoryEdit{Slug: ptr("net")})
		require.NoError(t, err)
		require.NoError(t, w.DeleteTag(t.Context(), w.admin, "go"))
		w.events(t)
		again, err := w.Create(t.Context(), w.ann, in)
		require.NoError(t, err)
		require.Equal(t, c, again)
		againModule, err := w.CreateModule(t.Context(), w.ann, c.Slug, module)
		require.NoError(t, err)
		require.Equal(t, m, againModule)
		againLesson, err := w.CreateLesson(t.Context(), w.ann, c.Slug, m.ID, lesson)
		require.NoError(t, err)
		require.Equal(t, l, againLesson)
		require.Empty(t, w.events(t), "what was made is not told of again")
		for _, n := range []courses.ModuleID{m.ID, other.ID} {
			ids, err := w.backend.Courses.LessonIDs(t.Context(), c.ID, n)
			require.NoError(t, err)
			require.Len(t, ids, map[bool]int{true: 1, false: 0}[n == m.ID])
		}

		_, err = w.CreateLesson(t.Context(), w.ann, c.Slug, other.ID, lesson)
		require.ErrorIs(t, err, core.ErrKeyReused, "another module is another request")
		module.Title = "Another"
		_, err = w.CreateModule(t.Context(), w.ann, c.Slug, module)
		require.ErrorIs(t, err, core.ErrKeyReused)
		in.Key = "k2"
		_, err = w.Create(t.Context(), w.ann, in)
		require.Equal(t, []string{"category", "tags[0]"}, fields(t, err), "a new key is checked")
		in.Category, in.Tags = "net", nil
		_, err = w.Create(t.Context(), w.ann, in)
		require.NoError(t, err, "a refusal does not use the key up")
	})
}

func TestAnEditThatChangesNothingIsNone(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.course(t, "Go")
		modules, err := w.Modules(t.Context(), w.ann, c.Slug, core.Page{})
		require.NoError(t, err)
		m := modules.Items[0]
		lessons, err := w.Lessons(t.Context(), w.ann, c.Slug, 0, core.Page{})
		require.NoError(t, err)
		l := lessons.Items[0]
		category, err := w.Category(t.Context(), "web")
		require.NoError(t, err)
		tag, err := w.Tag(t.Context(), "go")
		require.NoError(t, err)
		w.events(t)

		in := whole("Go")
		slices.Reverse(in.Tags)
		got, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{
			Title: &in.Title, Slug: &c.Slug, Description: &in.Description, Language: &in.Language, Price: in.Price, Category: &in.Category, Tags: &in.Tags,
		})
		require.NoError(t, err)
		require.Equal(t, c, got)
		got, err = w.Reassign(t.Context(), w.admin, c.Slug, "ann")
		require.NoError(t, err)
		require.Equal(t, c, got)
		gotModule, err := w.EditModule(t.Context(), w.ann, c.Slug, m.ID, courses.ModuleEdit{Title: &m.Title})
		require.NoError(t, err)
		require.Equal(t, m, gotModule)
		gotLesson, err := w.EditLesson(t.Context(), w.ann, c.Slug, l.ID, courses.LessonEdit{Title: &l.Title, Content: &l.Content})
		require.NoError(t, err)
		require.Equal(t, l, gotLesson)
		require.NoError(t, w.ReorderModules(t.Context(), w.ann, c.Slug, []courses.ModuleID{m.ID}))
		require.NoError(t, w.ReorderLessons(t.Context(), w.ann, c.Slug, m.ID, []courses.LessonID{l.ID}))
		gotCategory, err := w.EditCategory(t.Context(), w.admin, "web", courses.CategoryEdit{Name: &category.Name, Slug: &category.Slug, Parent: ptr("")})
		require.NoError(t, err)
		require.Equal(t, category, gotCategory)
		gotTag, err := w.EditTag(t.Context(), w.admin, "go", courses.TagEdit{Name: &tag.Name})
		require.NoError(t, err)
		require.Equal(t, tag, gotTag)
		require.Empty(t, w.events(t))
		_, err = w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Tags: &[]string{"go"}, IfVersion: 1})
		require.NoError(t, err)
		require.Equal(t, []string{courses.EventUpdated}, w.events(t))
	})
}

func TestWhatMovesCoursesIsToldOf(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		w.category(t, "other", "")
		c := w.course(t, "Go")
		w.events(t)
		require.NoError(t, w.DeleteTag(t.Context(), w.admin, "go"))
		untagged, err := w.Course(t.Context(), w.ann, c.Slug)
		require.NoError(t, err)
		require.True(t, untagged.UpdatedAt.After(c.UpdatedAt))
		_, err = w.EditCategory(t.Context(), w.admin, "other", courses.CategoryEdit{Slug: ptr("else")})
		require.NoError(t, err)
		require.NoError(t, w.DeleteCategory(t.Context(), w.admin, "web", "else"))
		moved, err := w.Course(t.Context(), w.ann, c.Slug)
		require.NoError(t, err)
		require.True(t, moved.UpdatedAt.After(untagged.UpdatedAt))
		pending, err := w.backend.Courses.Pending(t.Context(), 10)
		require.NoError(t, err)
		var got []string
		for _, e := range pending {
			got = append(got, e.Type+" "+string(e.Payload))
		}
		require.Equal(t, []string{
			`courses.tag_deleted {"slug":"go"}`,
			`courses.category_updated {"slug":"else","was":"other"}`,
			`courses.category_deleted {"slug":"web","moved_to":"else"}`,
		}, got)
	})
}

func TestLanguagesAreFoundInAnyForm(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		in := whole("Go")
		in.Language = "en_US"
		_, err := w.Create(t.Context(), w.ann, in)
		require.Equal(t, []string{"language"}, fields(t, err))
		in.Language = "EN-us"
		c := w.filled(t, in)
		require.Equal(t, "en-US", c.Language)
		_, err = w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Language: ptr("en-us")})
		require.NoError(t, err)
		for language, want := range map[string]int{"en": 1, "EN": 1, "en-US": 1, "en-GB": 0, "ru": 0} {
			n, err := w.Count(t.Context(), w.ann, courses.Filter{Status: courses.Draft, Language: language})
			require.NoError(t, err)
			require.Equal(t, want, n, language)
		}
		got, err := w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Language: ptr("iw")})
		require.NoError(t, err)
		require.Equal(t, "he", got.Language)
		n, err := w.Count(t.Context(), w.ann, courses.Filter{Status: courses.Draft, Language: "iw"})
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

// A course does not come to somebody who loses the right to teach at the same time.
func TestATeacherWhoIsDemotedMeanwhileGetsNoCourse(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.course(t, "Go")
		for name, call := range map[string]func(teacher core.Actor, name string) error{
			"create": func(teacher core.Actor, _ string) error {
				_, err := w.Create(context.Background(), teacher, courses.NewCourse{Title: "Mine"})
				return err
			},
			"create for": func(_ core.Actor, name string) error {
				_, err := w.Create(context.Background(), w.admin, courses.NewCourse{Title: "Theirs", Teacher: name})
				return err
			},
			"reassign": func(_ core.Actor, name string) error {
				_, err := w.Reassign(context.Background(), w.admin, c.Slug, name)
				return err
			},
		} {
			t.Run(name, func(t *testing.T) {
				who := fmt.Sprintf("t-%d", len(name))
				teacher := w.person(t, who, core.Teacher)
				locked := make(chan bool)
				errs := together(4, func(i int) error {
					if i > 0 {
						<-locked
						return call(teacher, who)
					}
					return w.backend.Accounts.Update(context.Background(), func(ctx context.Context, tx accounts.Tx) error {
						users, err := tx.UsersForUpdate(ctx, who)
						if err != nil {
							return err
						}
						users[0].Role = core.Student
						if err := tx.UpdateUsers(ctx, users[0]); err != nil {
							return err
						}
						close(locked)
						time.Sleep(100 * time.Millisecond) // in which the others look whether the user may teach
						return nil
					})
				})
				require.NoError(t, errs[0])
				for _, err := range errs[1:] {
					require.Error(t, err)
					require.Contains(t, []core.Kind{core.KindForbidden, core.KindInvalid}, core.KindOf(err), "%v", err)
				}
				has, err := w.HasCourses(t.Context(), teacher.UserID)
				require.NoError(t, err)
				require.False(t, has)
			})
		}
	})
}

// Of a creation and a demotion at once one is refused, whichever comes first.
func TestNobodyBelowTeacherEndsUpWithACourse(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		roles := accounts.NewService(accounts.Config{
			Store: w.backend.Accounts, Validate: core.NewValidator(), Clock: w.clock, Cursors: new(core.Cursors), Teaching: w.Service,
		})
		created, demoted := 0, 0
		for round := range 10 {
			name := fmt.Sprint("user-", round)
			user := w.person(t, name, core.Teacher)
			errs := together(9, func(i int) error {
				if i%3 == 0 {
					_, err := roles.AssignRole(context.Background(), w.admin, name, core.Student)
					return err
				}
				_, err := w.Create(context.Background(), w.admin, courses.NewCourse{Title: "Race", Teacher: name})
				return err
			})
			for i, err := range errs {
				switch {
				case err == nil && i%3 == 0:
					demoted++
				case err == nil:
					created++
				case i%3 == 0:
					require.ErrorIs(t, err, accounts.ErrHasCourses)
				default:
					require.Equal(t, []string{"teacher"}, fields(t, err))
				}
			}
			stored, err := w.backend.Accounts.UsersByID(t.Context(), []core.UserID{user.UserID})
			require.NoError(t, err)
			has, err := w.HasCourses(t.Context(), user.UserID)
			require.NoError(t, err)
			require.Equal(t, stored[0].Role == core.Teacher, has, "%s is a %s", name, stored[0].Role)
		}
		t.Logf("%d courses, %d demotions", created, demoted)
	})
}

func TestADraftKeepsNoOldSlugs(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		c := w.course(t, "Draft")
		for i := range 2 * courses.MaxOldSlugs {
			var err error
			c, err = w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Slug: ptr(fmt.Sprint("reserved-", i))})
			require.NoError(t, err)
		}
		_, err := w.Create(t.Context(), w.bob, courses.NewCourse{Title: "x", Slug: "reserved-0"})
		require.NoError(t, err)
		c = w.in(t, c, courses.Published)
		for i := range courses.MaxOldSlugs + 1 {
			_, err = w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Slug: ptr(fmt.Sprint("public-", i))})
			if i < courses.MaxOldSlugs {
				require.NoError(t, err)
				c.Slug = fmt.Sprint("public-", i)
			}
		}
		require.ErrorIs(t, err, courses.ErrTooMany)
		require.Equal(t, []string{"slug"}, fields(t, err))
	})
}

func TestCategoriesAreOnlySoDeep(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		parent := ""
		for i := range courses.MaxDepth {
			slug := fmt.Sprint("d", i+1)
			w.category(t, slug, parent)
			parent = slug
		}
		_, err := w.CreateCategory(t.Context(), w.admin, courses.NewCategory{Name: "x", Slug: "deeper", Parent: parent})
		require.Equal(t, []string{"parent"}, fields(t, err))
		w.category(t, "a", "")
		w.category(t, "b", "a")
		_, err = w.EditCategory(t.Context(), w.admin, "a", courses.CategoryEdit{Parent: ptr("d15")})
		require.Equal(t, []string{"parent"}, fields(t, err), "b would be the 17th")
		require.ErrorIs(t, err, core.ErrInvalid)
		err = w.DeleteCategory(t.Context(), w.admin, "a", "d16")
		require.Equal(t, []string{"move_to"}, fields(t, err))
		_, err = w.EditCategory(t.Context(), w.admin, "a", courses.CategoryEdit{Parent: ptr("d14")})
		require.NoError(t, err)
		_, err = w.EditCategory(t.Context(), w.admin, "d1", courses.CategoryEdit{Name: ptr("Renamed")})
		require.NoError(t, err)
	})
}

// What changes how many courses a category has takes the tree before the course, as
// changes of the tree do: none is run again because of a deadlock.
func TestPublishingDoesNotMeetChangesOfTheTree(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		const each = 8
		slugs := make([]string, each)
		for i := range slugs {
			slugs[i] = w.in(t, w.course(t, fmt.Sprint("Course ", i)), courses.InReview).Slug
		}
		names := make([]string, 4)
		for i := range names {
			names[i] = fmt.Sprint("c", i)
			w.category(t, names[i], "")
		}
		start := time.Now()
		for _, err := range together(each+len(names), func(i int) error {
			if i < each {
				_, err := w.Publish(context.Background(), w.admin, slugs[i], 0)
				return err
			}
			name := names[i-each]
			if _, err := w.EditCategory(context.Background(), w.admin, name, courses.CategoryEdit{Parent: ptr("web")}); err != nil {
				return err
			}
			return w.DeleteCategory(context.Background(), w.admin, name, "web")
		}) {
			require.NoError(t, err)
		}
		t.Logf("took %s", time.Since(start))
		web, err := w.Category(t.Context(), "web")
		require.NoError(t, err)
		require.Equal(t, each, web.CourseCount)
	})
}
