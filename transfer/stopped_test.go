package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/transfer"
)

// imported returns the subjects and payloads of the events of imports.
func imported(t testing.TB, backend *storage.Backend) (events []string) {
	t.Helper()
	for _, outbox := range []core.Outbox{backend.Courses, backend.Accounts} {
		pending, err := outbox.Pending(t.Context(), 100)
		require.NoError(t, err)
		for _, e := range pending {
			if e.Type == transfer.EventImported {
				events = append(events, e.Subject+string(e.Payload))
			}
		}
	}
	return events
}

func TestAFileWithChangesEndsInOneEvent(t *testing.T) {
	t.Parallel()
	backend := open(t)
	importAll(t, backend, good())
	require.ElementsMatch(t, []string{
		`file/categories.csv{"file":"categories.csv","inserted":2,"updated":0}`,
		`file/users.csv{"file":"users.csv","inserted":2,"updated":0}`,
		`file/courses.csv{"file":"courses.csv","inserted":2,"updated":0}`,
		`file/modules.csv{"file":"modules.csv","inserted":3,"updated":0}`,
		`file/lessons.csv{"file":"lessons.csv","inserted":3,"updated":0}`,
	}, imported(t, backend))
	importAll(t, backend, good())
	require.Len(t, imported(t, backend), 5)
}

func TestACancelledImportStopsAndTellsWhatItWrote(t *testing.T) {
	t.Parallel()
	backend := open(t)
	files := good()
	var rows strings.Builder
	rows.WriteString(usersHeader)
	for i := range 20_000 {
		writeUser(&rows, i)
	}
	files["users.csv"] = rows.String()
	ctx, cancel := context.WithCancel(t.Context())
	copied := *backend
	copied.Accounts = &cancelling{backend.Accounts, cancel}
	report, err := transfer.Import(ctx, &copied, os.DirFS(folder(t, files)), nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, report.Files, 2)
	require.Equal(t, 1000, report.Files[1].Inserted)
	require.Contains(t, imported(t, backend), `file/users.csv{"file":"users.csv","inserted":1000,"updated":0}`)
	_, err = backend.Courses.CourseBySlug(t.Context(), "go")
	require.ErrorIs(t, err, courses.ErrCourseNotFound)
}

// cancelling cancels after the first Update.
type cancelling struct {
	accounts.Store
	cancel func()
}

func (c *cancelling) Update(ctx context.Context, fn func(context.Context, accounts.Tx) error) error {
	defer c.cancel()
	return c.Store.Update(ctx, fn)
}

func TestAnImportThatFailsMidwayTellsAndCountsWhatItWrote(t *testing.T) {
	t.Parallel()
	backend := open(t)
	importAll(t, backend, map[string]string{"categories.csv": good()["categories.csv"], "users.csv": good()["users.csv"]})
	var rows strings.Builder
	rows.WriteString(coursesHeader)
	for i := range 2500 {
		fmt.Fprintf(&rows, "course-%d,Course,,en,web,ann,1,USD,published,,\n", i)
	}
	failed := errors.New("the disk is full")
	copied := *backend
	copied.Courses = &failing{Store: backend.Courses, at: 2, err: failed}
	report, err := transfer.Import(t.Context(), &copied, os.DirFS(folder(t, map[string]string{"courses.csv": rows.String()})), nil)
	require.ErrorIs(t, err, failed)
	require.Equal(t, transfer.Counts{Inserted: 1000}, report.Total())
	require.Contains(t, imported(t, backend), `file/courses.csv{"file":"courses.csv","inserted":1000,"updated":0}`)
	counts(t, backend, map[string]int{"it": 1000, "web": 1000})

	copied.Courses = &failing{Store: backend.Courses, at: 1, err: failed}
	before := len(imported(t, backend))
	_, err = transfer.Import(t.Context(), &copied, os.DirFS(folder(t, map[string]string{"courses.csv": rows.String()})), nil)
	require.ErrorIs(t, err, failed)
	require.Len(t, imported(t, backend), before, "nothing was written")
}

// failing fails its at-th Update, counted from 1.
type failing struct {
	courses.Store
	at  int
	err error
}

func (f *failing) Update(ctx context.Context, fn func(context.Context, courses.Tx) error) error {
	if f.at--; f.at == 0 {
		return f.err
	}
	return f.Store.Update(ctx, fn)
}

func TestMovingABranchMovesItsCount(t *testing.T) {
	t.Parallel()
	backend := open(t)
	importAll(t, backend, good())
	counts(t, backend, map[string]int{"it": 1, "web": 1})
	importAll(t, backend, map[string]string{"categories.csv": "slug,name,parent\nweb,Web,\n"})
	counts(t, backend, map[string]int{"it": 0, "web": 1})
}

// counts asserts how many published courses the categories have.
func counts(t testing.TB, backend *storage.Backend, want map[string]int) {
	t.Helper()
	all, err := backend.Courses.Categories(t.Context(), "", 100)
	require.NoError(t, err)
	got := map[string]int{}
	for _, c := range all {
		got[c.Slug] = c.CourseCount
	}
	require.Equal(t, want, got)
}
