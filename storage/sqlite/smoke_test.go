package sqlite_test

import (
	"context"
	"testing"
	"time"
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage"
	"os"
)

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	var b *storage.Backend
	var err error
	if dsn := os.Getenv("SMOKE_DSN"); dsn != "" {
		b, err = postgres.Open(ctx, dsn, nil)
	} else {
		b, err = sqlite.InMemory(ctx, nil)
	}
	require.NoError(t, err)
	p, err := ustat.New(b, nil)
	require.NoError(t, err)
	require.NoError(t, p.Start(ctx))
	defer p.Stop(ctx)
	u, err := p.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: "bob", Email: "bob@example.org", Role: core.Teacher})
	require.NoError(t, err)
	_, err = p.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: "bob", Email: "bob2@example.org", Role: core.Teacher})
	require.ErrorIs(t, err, accounts.ErrUsernameTaken)
	now := time.Now()
	err = b.Courses.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
		cats, err := tx.InsertCategories(ctx, []courses.Category{{Slug: "a", Name: "A"}})
		if err != nil {
			return err
		}
		tags, err := tx.EnsureTags(ctx, []courses.Tag{{Slug: "go", Name: "Go"}, {Slug: "sql", Name: "SQL"}})
		if err != nil {
			return err
		}
		var list []courses.Course
		for i := range 50 {
			list = append(list, courses.Course{Slug: fmt.Sprint("c", i), Title: fmt.Sprint("Программирование на C++ ", i), Description: "хорошие курсы", Language: "ru", Status: courses.Published,
				Price: core.Money{Minor: int64(i), Currency: "RUB"}, Teacher: courses.Teacher{ID: u.ID}, Category: cats[0], Tags: tags, CreatedAt: now, UpdatedAt: now, PublishedAt: now})
		}
		list, err = tx.InsertCourses(ctx, list)
		if err != nil {
			return err
		}
		if err := tx.UpdateCourses(ctx, list[:3]); err != nil {
			return err
		}
		ms, err := tx.InsertModules(ctx, []courses.Module{{CourseID: list[0].ID, Title: "M", Position: 1}})
		if err != nil {
			return err
		}
		if _, err = tx.InsertModules(ctx, []courses.Module{{CourseID: list[0].ID, Title: "M", Position: 1}}); err == nil {
			return fmt.Errorf("no conflict")
		}
		ls, err := tx.InsertLessons(ctx, []courses.Lesson{{CourseID: list[0].ID, ModuleID: ms[0].ID, Title: "M", Kind: courses.Text, Position: 1}, {CourseID: list[0].ID, ModuleID: ms[0].ID, Title: "M", Kind: courses.Text, Position: 2}})
		if err != nil {
			return err
		}
		if err := tx.UpdateLessons(ctx, ls); err != nil {
			return err
		}
		return tx.RecountCategories(ctx)
	})
	require.NoError(t, err)
	for _, sort := range courses.Sorts {
		for _, f := range []courses.Filter{{}, {Category: "a"}, {Tag: "go"}, {Teacher: "bob"}, {Language: "ru"}, {Language: "ru-RU"}, {Query: "курс программировании c++"}, {RatingMin: 400}} {
			if sort == courses.Relevance && f.Query == "" {
				continue
			}
			n := 0
			page := core.Page{Limit: 7}
			for {
				cctx, c := storage.CountQueries(ctx)
				res, err := p.Courses.List(cctx, core.Actor{}, f, sort, page)
				require.NoError(t, err, "%v %v", sort, f)
				require.LessOrEqual(t, c.Count(), 5)
				n += len(res.Items)
				if res.Next == "" {
					break
				}
				page.Cursor = res.Next
			}
			want := 50
			if f.RatingMin > 0 || f.Language == "ru-RU" {
				want = 0
			}
			require.Equal(t, want, n, "%v %v", sort, f)
		}
	}
	c, err := p.Courses.Course(ctx, core.Actor{}, "c1")
	require.NoError(t, err)
	require.Equal(t, "bob", c.Teacher.Username)
	require.Len(t, c.Tags, 2)
	l, err := p.Courses.Lessons(ctx, core.Actor{}, "c0", 0, core.Page{})
	require.NoError(t, err)
	require.Len(t, l.Items, 2)
	cats, err := p.Courses.Categories(ctx, core.Page{})
	require.NoError(t, err)
	require.Equal(t, 50, cats.Items[0].CourseCount)
	evs, err := b.Accounts.Pending(ctx, 10)
	require.NoError(t, err)
	require.Len(t, evs, 1)
	require.NoError(t, b.Accounts.Done(ctx, evs[0].ID))
	evs, err = b.Accounts.Pending(ctx, 10)
	require.NoError(t, err)
	require.Empty(t, evs)
	topc, err := p.Courses.Top(ctx, 5)
	require.NoError(t, err)
	require.Empty(t, topc)
}
