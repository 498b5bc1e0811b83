package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage/sqlite"
)

// hostDB is a database as an embedder opens it, without our own parameters.
func hostDB(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "host.db")+"?_txlock=immediate&_pragma=foreign_keys(1)&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestAHostsHandlePagesThroughEqualTimes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	backend, err := sqlite.Use(ctx, hostDB(t), nil)
	require.NoError(t, err)
	p, err := ustat.New(backend, nil)
	require.NoError(t, err)
	require.NoError(t, p.Start(ctx))
	teacher, err := p.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: "anna", Email: "anna@example.org", Role: core.Teacher})
	require.NoError(t, err)
	at := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	require.NoError(t, backend.Courses.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
		list := make([]courses.Course, 10)
		for i := range list {
			list[i] = courses.Course{
				Slug: fmt.Sprint("c", i), Title: "C", Status: courses.Published, Teacher: courses.Teacher{ID: teacher.ID},
				Price: core.Money{Currency: "RUB"}, Language: "pt-BR", CreatedAt: at, UpdatedAt: at,
			}
		}
		_, err := tx.InsertCourses(ctx, list)
		return err
	}))
	for _, language := range []string{"", "pt", "PT", "pt-br"} {
		n, page := 0, core.Page{Limit: 3}
		for {
			got, err := p.Courses.List(ctx, core.Actor{}, courses.Filter{Language: language}, courses.Newest, page)
			require.NoError(t, err)
			n += len(got.Items)
			if page.Cursor = got.Next; got.Next == "" {
				break
			}
		}
		require.Equal(t, 10, n, "language %q", language)
	}
}

func TestAHandleWithoutForeignKeysIsRefused(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "host.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = sqlite.Use(t.Context(), db, nil)
	require.ErrorIs(t, err, core.ErrFailedPrecondition)
}

func TestAFreedUsernameCanBeTaken(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	backend, err := sqlite.InMemory(ctx, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, backend.Close()) })
	_, err = backend.Schema.Migrate(ctx)
	require.NoError(t, err)
	user := accounts.User{Username: "anna", Email: "a@example.org", Role: core.Teacher}
	var first []accounts.User
	require.NoError(t, backend.Accounts.Update(ctx, func(ctx context.Context, tx accounts.Tx) (err error) {
		first, err = tx.InsertUsers(ctx, []accounts.User{user})
		if err != nil {
			return err
		}
		first[0].Username, first[0].Email = "hanna", "h@example.org"
		if err := tx.UpdateUsers(ctx, first[0]); err != nil {
			return err
		}
		_, err = tx.InsertUsers(ctx, []accounts.User{user})
		return err
	}))
	profile, err := backend.Accounts.ProfileBySlug(ctx, "anna")
	require.NoError(t, err)
	require.Equal(t, first[0].ID, profile.UserID, "the page keeps its address")
}

func TestNoTransactionCannotBeJoined(t *testing.T) {
	t.Parallel()
	backend, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, backend.Close()) })
	_, err = backend.Join(nil)
	require.ErrorIs(t, err, core.ErrCannotJoin)
}
