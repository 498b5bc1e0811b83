package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

func course(slug string, teacher core.UserID) courses.Course {
	return courses.Course{
		Slug: slug, Title: "Course " + slug, Description: "About " + slug, Requirements: "None", Language: "ru",
		Price: core.Money{Minor: 199900, Currency: "RUB"}, Status: courses.Published, Teacher: courses.Teacher{ID: teacher},
		CreatedAt: day, UpdatedAt: day, PublishedAt: day,
		Version: 1, // which is what an insert gives, whatever it is handed
	}
}

func insertCourses(t testing.TB, b *storage.Backend, list ...courses.Course) (out []courses.Course) {
	t.Helper()
	write(t, b, func(ctx context.Context, tx courses.Tx) (err error) {
		out, err = tx.InsertCourses(ctx, list)
		return err
	})
	require.Len(t, out, len(list))
	return out
}

func updateCourses(t testing.TB, b *storage.Backend, list ...courses.Course) error {
	return b.Courses.Update(timeout(t), func(ctx context.Context, tx courses.Tx) error { return tx.UpdateCourses(ctx, list) })
}

func bySlug(t testing.TB, b *storage.Backend, slug string) courses.Course {
	t.Helper()
	c, err := b.Courses.CourseBySlug(timeout(t), slug)
	require.NoError(t, err)
	return plain(c)
}

// plain takes off what equality does not care for.
func plain(c courses.Course) courses.Course {
	if len(c.Tags) == 0 {
		c.Tags = nil
	}
	return c
}

// shelf is what courses refer to.
type shelf struct {
	teachers   []core.UserID
	categories []courses.Category
	tags       []courses.Tag // by name
}

func newShelf(t testing.TB, b *storage.Backend) shelf {
	t.Helper()
	var s shelf
	for _, u := range insertUsers(t, b, person("teacher-1"), person("teacher-2"), person("teacher-3")) {
		s.teachers = append(s.teachers, u.ID)
	}
	for _, c := range insertCategories(t, b, courses.Category{Slug: "cat-1", Name: "One"}, courses.Category{Slug: "cat-2", Name: "Two"}, courses.Category{Slug: "cat-3", Name: "Three"}) {
		s.categories = append(s.categories, courses.Category{ID: c.ID, Slug: c.Slug, Name: c.Name})
	}
	s.tags = ensureTags(t, b, courses.Tag{Slug: "tag-1", Name: "analysis"}, courses.Tag{Slug: "tag-2", Name: "backend"}, courses.Tag{Slug: "tag-3", Name: "c#"}, courses.Tag{Slug: "tag-4", Name: "дизайн"})
	require.Len(t, s.tags, 4)
	for i := range s.tags {
		s.tags[i].Version = 0 // as in the tags of a course
	}
	return s
}

func (s suite) courses() {
	s.run("a missing course is ErrCourseNotFound", func(t *testing.T, b *storage.Backend) {
		_, err := b.Courses.CourseBySlug(timeout(t), "nothing")
		require.ErrorIs(t, err, courses.ErrCourseNotFound)
		require.ErrorIs(t, err, core.ErrNotFound)
		sh := newShelf(t, b)
		c := insertCourses(t, b, course("one", sh.teachers[0]))[0]
		missing := c
		missing.ID += 404
		c.Title = "changed"
		missing.Slug = "two"
		require.ErrorIs(t, updateCourses(t, b, c, missing), courses.ErrCourseNotFound)
		require.Equal(t, "Course one", bySlug(t, b, "one").Title, "none of the list is written")
	})
	s.run("courses come back whole but for the teacher's names", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		var list []courses.Course
		for i, text := range awkward {
			c := course(fmt.Sprint("course-", i), sh.teachers[i%3])
			c.Title, c.Description, c.Requirements = text, text+" "+text, text
			c.Status = courses.Statuses[i%len(courses.Statuses)]
			c.Language = []string{"", "ru", "en-GB"}[i%3]
			c.Price = []core.Money{{Minor: 0, Currency: "RUB"}, {Minor: 1 << 52, Currency: "USD"}, {Minor: 500, Currency: "JPY"}}[i%3]
			c.TextPolicy, c.Rejection = i, text
			c.CreatedAt, c.UpdatedAt, c.PublishedAt = zoned(day), zoned(day.Add(time.Hour)), zoned(day.Add(-time.Hour))
			if i%2 == 0 {
				c.PublishedAt = time.Time{}
				c.Category = sh.categories[i%3]
			}
			c.Tags = sh.tags[:i%5]
			list = append(list, c)
		}
		inserted := insertCourses(t, b, list...)
		all, err := b.Courses.CoursesBySlug(timeout(t), []string{"course-0", "course-1", "course-2", "course-3", "course-4", "course-5", "course-6", "course-7", "nothing", "course-0"})
		require.NoError(t, err)
		require.Len(t, all, len(list))
		for i, c := range list {
			require.Positive(t, inserted[i].ID)
			require.Equal(t, c.Slug, inserted[i].Slug, "InsertCourses returns them in order")
			require.EqualValues(t, 1, inserted[i].Version)
			got := bySlug(t, b, c.Slug)
			utc(t, day, got.CreatedAt)
			utc(t, day.Add(time.Hour), got.UpdatedAt)
			c.ID, c.CreatedAt, c.UpdatedAt = inserted[i].ID, core.Time(c.CreatedAt), core.Time(c.UpdatedAt)
			if c.PublishedAt.IsZero() {
				require.True(t, got.PublishedAt.IsZero())
				got.PublishedAt = time.Time{}
			} else {
				utc(t, day.Add(-time.Hour), got.PublishedAt)
				c.PublishedAt = core.Time(c.PublishedAt)
			}
			require.Equal(t, plain(c), got)
			at := slices.IndexFunc(all, func(other courses.Course) bool { return other.ID == got.ID })
			require.GreaterOrEqual(t, at, 0)
			require.Equal(t, got, plain(all[at]), "CoursesBySlug")
		}
		ids, err := b.Courses.CourseIDs(timeout(t), []string{"course-1", "nothing", "course-3", "course-1"})
		require.NoError(t, err)
		require.Equal(t, map[string]courses.CourseID{"course-1": inserted[1].ID, "course-3": inserted[3].ID}, ids)
		for _, none := range [][]string{nil, {}} {
			list, err := b.Courses.CoursesBySlug(timeout(t), none)
			require.NoError(t, err)
			require.Empty(t, list)
			ids, err := b.Courses.CourseIDs(timeout(t), none)
			require.NoError(t, err)
			require.Empty(t, ids)
		}
	})
	s.run("a taken slug is ErrSlugTaken, writes none of the list and leaves the Tx usable", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		list := insertCourses(t, b, course("one", sh.teachers[0]), course("two", sh.teachers[0]))
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			a, c := course("a", sh.teachers[0]), course("b", sh.teachers[0])
			a.Tags, c.Tags = sh.tags, sh.tags
			for why, bad := range map[string][]courses.Course{
				"a slug that is there": {a, course("one", sh.teachers[0]), c}, "a slug twice in the list": {a, c, a},
			} {
				if _, err := tx.InsertCourses(ctx, bad); !errors.Is(err, courses.ErrSlugTaken) || !errors.Is(err, core.ErrConflict) {
					return fmt.Errorf("%s: want ErrSlugTaken, got: %w", why, err)
				}
			}
			_, err := tx.InsertCourses(ctx, []courses.Course{course("kept", sh.teachers[0])})
			return err
		})
		ids, err := b.Courses.CourseIDs(timeout(t), []string{"a", "b", "kept"})
		require.NoError(t, err)
		require.Len(t, ids, 1)
		require.Contains(t, ids, "kept")
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			changed := slices.Clone(list)
			changed[0].Title, changed[1].Slug = "changed", "kept"
			if err := tx.UpdateCourses(ctx, changed); !errors.Is(err, courses.ErrSlugTaken) {
				return fmt.Errorf("UpdateCourses: want ErrSlugTaken, got: %w", err)
			}
			_, err := tx.InsertCourses(ctx, []courses.Course{course("kept-as-well", sh.teachers[0])})
			return err
		})
		require.Equal(t, "Course one", bySlug(t, b, "one").Title)
		bySlug(t, b, "kept-as-well")
	})
	s.run("of concurrent renames to one slug a single one wins and the others are ErrSlugTaken", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		list := make([]courses.Course, 6)
		for i := range list {
			list[i] = course(fmt.Sprint("course-", i), sh.teachers[0])
		}
		list = insertCourses(t, b, list...)
		errs := make(chan error, len(list))
		for _, c := range list {
			c.Slug = "seat"
			go func() {
				errs <- b.Courses.Update(context.Background(), func(ctx context.Context, tx courses.Tx) error {
					return tx.UpdateCourses(ctx, []courses.Course{c})
				})
			}()
		}
		won := 0
		for range list {
			if err := <-errs; err == nil {
				won++
			} else {
				require.ErrorIs(t, err, courses.ErrSlugTaken)
			}
		}
		require.Equal(t, 1, won)
	})
	s.run("UpdateCourses writes every field and the tags, but not the stats nor a zero CreatedAt", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		before, other := course("before", sh.teachers[0]), course("other", sh.teachers[1])
		before.Tags, other.Tags = sh.tags[:3], sh.tags[1:]
		before.Category = sh.categories[0]
		list := insertCourses(t, b, before, other)
		other = bySlug(t, b, "other")
		stats := courses.Stats{}
		if s.limits.SetStats != nil {
			stats = courses.Stats{ReviewCount: 3, RatingSum: 14, Students: 9, Completions: 4}
			s.limits.SetStats(t, b, list[0].ID, stats)
		}
		after := courses.Course{
			ID: list[0].ID, Slug: "after", Title: "Другое 🎓", Description: "d", Requirements: "r", Language: "en",
			Price: core.Money{Minor: 5, Currency: "USD"}, Status: courses.Draft, Teacher: courses.Teacher{ID: sh.teachers[2]},
			Category: sh.categories[1], Tags: []courses.Tag{sh.tags[1], sh.tags[3]}, UpdatedAt: day.Add(time.Hour),
			TextPolicy: 7, Rejection: "too short", Version: 99,
		}
		require.NoError(t, updateCourses(t, b, after))
		after.CreatedAt, after.Stats, after.Version = day, stats, 2
		require.Equal(t, after, bySlug(t, b, "after"))
		_, err := b.Courses.CourseBySlug(timeout(t), "before")
		require.ErrorIs(t, err, courses.ErrCourseNotFound)
		require.Equal(t, other, bySlug(t, b, "other"), "another course")

		after.CreatedAt, after.Tags, after.Category, after.PublishedAt = day.Add(-time.Hour), nil, courses.Category{}, day
		require.NoError(t, updateCourses(t, b, after))
		after.Version = 3
		require.Equal(t, after, bySlug(t, b, "after"), "each update is a version")
		require.NoError(t, updateCourses(t, b))
	})
	s.run("many courses are written and read by a number of statements that depends on blocks", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		n := size(2500, 600)
		list := make([]courses.Course, n)
		for i := range list {
			list[i] = course(fmt.Sprintf("course-%d", (i*7919)%n), sh.teachers[i%3])
			list[i].Tags = sh.tags[:i%5]
		}
		ctx, queries := storage.CountQueries(timeout(t))
		require.NoError(t, b.Courses.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
			out, err := tx.InsertCourses(ctx, list)
			if err != nil {
				return err
			}
			for i := range out {
				if out[i].Slug != list[i].Slug {
					return fmt.Errorf("%d: %s in the place of %s", i, out[i].Slug, list[i].Slug)
				}
				list[i].ID = out[i].ID
				list[i].Title = "changed"
			}
			return tx.UpdateCourses(ctx, list)
		}))
		require.Less(t, queries.Count(), n/4, "statements")
		for _, i := range []int{0, n / 2, n - 1} {
			list[i].Version = 2
			require.Equal(t, plain(list[i]), bySlug(t, b, list[i].Slug))
		}
	})
	s.run("NUL bytes and invalid UTF-8 in the catalogue are refused with ErrInvalid", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		c := insertCourses(t, b, course("one", sh.teachers[0]))[0]
		for _, bad := range []string{"a\x00b", "a\xffb"} {
			for field, set := range map[string]func(c *courses.Course){
				"Slug":         func(c *courses.Course) { c.Slug = bad },
				"Title":        func(c *courses.Course) { c.Title = bad },
				"Description":  func(c *courses.Course) { c.Description = bad },
				"Requirements": func(c *courses.Course) { c.Requirements = bad },
				"Language":     func(c *courses.Course) { c.Language = bad },
				"Rejection":    func(c *courses.Course) { c.Rejection = bad },
			} {
				fresh, changed := course("new", sh.teachers[0]), c
				set(&fresh)
				set(&changed)
				require.ErrorIs(t, b.Courses.Update(timeout(t), func(ctx context.Context, tx courses.Tx) error {
					_, err := tx.InsertCourses(ctx, []courses.Course{fresh})
					return err
				}), core.ErrInvalid, "InsertCourses, %s", field)
				require.ErrorIs(t, updateCourses(t, b, changed), core.ErrInvalid, "UpdateCourses, %s", field)
			}
			for name, fn := range map[string]func(ctx context.Context, tx courses.Tx) error{
				"InsertCategories": func(ctx context.Context, tx courses.Tx) error {
					_, err := tx.InsertCategories(ctx, []courses.Category{{Slug: "new", Name: bad}})
					return err
				},
				"UpdateCategory": func(ctx context.Context, tx courses.Tx) error {
					return tx.UpdateCategory(ctx, courses.Category{ID: sh.categories[0].ID, Slug: "x", Name: bad})
				},
				"EnsureTags": func(ctx context.Context, tx courses.Tx) error {
					_, err := tx.EnsureTags(ctx, []courses.Tag{{Slug: "new", Name: bad}})
					return err
				},
				"InsertModules": func(ctx context.Context, tx courses.Tx) error {
					_, err := tx.InsertModules(ctx, []courses.Module{{CourseID: c.ID, Title: bad, Position: 1}})
					return err
				},
			} {
				require.ErrorIs(t, b.Courses.Update(timeout(t), fn), core.ErrInvalid, name)
			}
			_, err := b.Courses.CourseBySlug(timeout(t), bad)
			require.Error(t, err)
			require.NotErrorIs(t, err, core.ErrInternal, "looking for it is the caller's fault or finds nothing")
		}
		require.Equal(t, plain(c), bySlug(t, b, "one"))
	})
	s.run("Currencies returns the first and the last currency of a status", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		got, err := b.Courses.Currencies(timeout(t), courses.Published)
		require.NoError(t, err)
		require.Empty(t, got)
		for i, currency := range []string{"RUB", "EUR", "USD", "KZT"} {
			c := course(fmt.Sprint("course-", i), sh.teachers[0])
			c.Price.Currency = currency
			if currency == "EUR" {
				c.Status = courses.Draft
			}
			insertCourses(t, b, c)
		}
		for status, want := range map[courses.Status][]string{courses.Published: {"KZT", "USD"}, courses.Draft: {"EUR"}} {
			got, err := b.Courses.Currencies(timeout(t), status)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	})
}
