package storagetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// many is more than an engine takes parameters.
const many = 40_000

// longIDs returns many ids with the given one last.
func longIDs[ID ~int64](last ID) []ID {
	ids := make([]ID, many)
	for i := range ids {
		ids[i] = ID(1_000_000 + i)
	}
	ids[many-1] = last
	return ids
}

// longNames returns many names with the given one last.
func longNames(last string) []string {
	names := make([]string, many)
	for i := range names {
		names[i] = fmt.Sprint("nobody-<&>-", i)
	}
	names[many-1] = last
	return names
}

// one asserts that a list of many has found the one that is there.
func one[T any](t testing.TB, found []T, err error) T {
	t.Helper()
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

func (s suite) longAccounts() {
	s.run("lists of ids and names may be long", func(t *testing.T, b *storage.Backend) {
		const name = `o'brien "ё"`
		u := insertUsers(t, b, person(name))[0]
		specialize(t, b, "go")
		ctx := timeout(t)
		found, err := b.Accounts.UsersByID(ctx, longIDs(u.ID))
		require.Equal(t, u, one(t, found, err))
		found, err = b.Accounts.UsersByName(ctx, longNames(name), longNames("nobody@example.org"))
		require.Equal(t, u, one(t, found, err))
		special, err := b.Accounts.SpecializationsBySlug(ctx, longNames("go"))
		require.Equal(t, "go", one(t, special, err).Slug)
		teaching, err := b.Accounts.WithCourses(ctx, longIDs(u.ID))
		require.NoError(t, err)
		require.Empty(t, teaching)
		require.NoError(t, change(t, b, func(ctx context.Context, tx accounts.Tx) error {
			found, err = tx.UsersForUpdate(ctx, longNames(name)...)
			return err
		}))
		require.Equal(t, u, one(t, found, err))
		done := make([]uuid.UUID, many)
		for i := range done {
			done[i] = uuid.New()
		}
		emitted, ids := events(1)
		emit(t, b, accountsDomain, emitted...)
		done[many-1] = ids[0]
		require.NoError(t, b.Accounts.Done(ctx, done...))
		require.Empty(t, pending(t, b, accountsDomain, 10))
	})
}

func (s suite) longCourses() {
	s.run("lists of ids and slugs may be long", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		c := course("one", sh.teachers[0])
		c.Category = sh.categories[0]
		c = insertCourses(t, b, c)[0]
		m := insertModules(t, b, courses.Module{CourseID: c.ID, Position: 1, Title: "M"})[0]
		l := insertLessons(t, b, courses.Lesson{CourseID: c.ID, ModuleID: m.ID, Position: 1, Title: "L", Kind: courses.Text})[0]
		ctx := timeout(t)
		list, err := b.Courses.CoursesBySlug(ctx, longNames("one"))
		require.Equal(t, c.ID, one(t, list, err).ID)
		taken, err := b.Courses.TakenSlugs(ctx, longNames("one"))
		require.Equal(t, "one", one(t, taken, err))
		ids, err := b.Courses.CourseIDs(ctx, longNames("one"))
		require.NoError(t, err)
		require.Equal(t, map[string]courses.CourseID{"one": c.ID}, ids)
		categories, err := b.Courses.CategoriesBySlug(ctx, longNames(sh.categories[0].Slug))
		require.Equal(t, sh.categories[0].ID, one(t, categories, err).ID)
		tags, err := b.Courses.TagsBySlug(ctx, longNames(sh.tags[0].Slug))
		require.Equal(t, sh.tags[0].ID, one(t, tags, err).ID)
		modules, err := b.Courses.ModulesOf(ctx, longIDs(c.ID))
		require.Equal(t, m.ID, one(t, modules, err).ID)
		lessons, err := b.Courses.LessonsOf(ctx, longIDs(m.ID))
		require.Equal(t, l.ID, one(t, lessons, err).ID)
		ofModules, err := b.Courses.ModuleVersions(ctx, longIDs(m.ID))
		require.NoError(t, err)
		require.Equal(t, map[courses.ModuleID]int64{m.ID: 1}, ofModules)
		hits, err := b.Courses.ListCourses(ctx, courses.ListQuery{
			Status: courses.Published, Limit: 10, Teachers: longIDs(sh.teachers[0]), Categories: longIDs(sh.categories[0].ID),
		})
		require.Equal(t, c.ID, one(t, hits, err).Course.ID)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			locked, err := tx.LockCourses(ctx, longIDs(c.ID))
			require.Equal(t, map[courses.CourseID]int64{c.ID: 1}, locked)
			return err
		})
	})
}
