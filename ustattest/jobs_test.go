package ustattest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/reports"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/ustattest"
)

func teacher(t *testing.T, p *ustattest.Platform) core.Actor {
	t.Helper()
	anna, err := p.Accounts.CreateUser(t.Context(), accounts.System, accounts.NewUser{Username: "anna", Email: "a@example.org", Role: core.Teacher})
	require.NoError(t, err)
	return core.Actor{UserID: anna.ID, Role: anna.Role}
}

func TestDrainDeliversWorksAndRecords(t *testing.T) {
	t.Parallel()
	letter := tasks.Kind[string]{Name: "school.letter", MaxAttempts: 1}
	var ticks []time.Time
	files, err := blob.Dir(t.TempDir(), nil)
	require.NoError(t, err)
	backend, err := postgres.Open(t.Context(), pgtest.DSN(t), nil)
	require.NoError(t, err)
	p := ustattest.New(t, ustattest.WithBackend(backend), ustattest.WithConfig(ustat.Config{Files: files}), ustattest.WithSetup(func(p *ustat.Platform) error {
		return errors.Join(
			tasks.Register(p.Tasks, letter, func(context.Context, string, tasks.Job) error { return errors.New("no such address") }),
			p.Tasks.Every(tasks.Periodic{Name: "school.tick", Every: time.Hour, Do: func(_ context.Context, period time.Time) error {
				ticks = append(ticks, period)
				return nil
			}}),
		)
	}))
	anna := teacher(t, p)
	require.NoError(t, p.Backend.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) error {
		return tasks.Ask(ctx, tx, letter, "to ada")
	}))
	report, err := p.Reports.Request(t.Context(), anna, reports.New{Kind: reports.Courses, Format: "csv"})
	require.NoError(t, err)
	require.Len(t, p.Events(t, tasks.EventAsked), 1)
	require.Empty(t, p.Recorded(t), "nothing runs before Drain")

	require.NoError(t, p.Drain(t.Context()))
	report, err = p.Reports.Get(t.Context(), anna, report.ID)
	require.NoError(t, err)
	require.Equal(t, reports.Done, report.State)
	require.Equal(t, []time.Time{ustattest.Epoch}, ticks)
	asked := p.Recorded(t, letter.Name)
	require.Len(t, asked, 1)
	require.JSONEq(t, `"to ada"`, string(asked[0].Args))
	require.Equal(t, tasks.Discarded, asked[0].State)
	require.Equal(t, "no such address", asked[0].Failures[0].Error)
	require.Len(t, p.Recorded(t, "events."+ustat.ReportsTask, ustat.CleanupTask), 2)

	events := p.Events(t)
	require.Len(t, events, 2, "those delivered are recorded too")
	require.Equal(t, "accounts.user_created", events[0].Type)
	require.Equal(t, reports.EventRequested, events[1].Type)
	_, err = p.Courses.Create(t.Context(), anna, courses.NewCourse{Title: "Databases"})
	require.NoError(t, err)
	require.Len(t, p.Events(t), 3, "and those that wait")

	p.Clock.Advance(48 * time.Hour)
	require.NoError(t, p.Drain(t.Context()))
	require.Equal(t, ustattest.Epoch.Add(48*time.Hour), ticks[1])
	require.Len(t, ticks, 2)
	require.NoError(t, ustattest.CheckInvariants(t.Context(), p.Backend))
}

func TestTheSameDrainsMakeTheSameJobs(t *testing.T) {
	t.Parallel()
	run := func() (order []string) {
		p := ustattest.New(t, ustattest.WithSetup(func(p *ustat.Platform) error {
			return p.Subscribe(tasks.Subscription{Name: "x", Backoff: time.Minute, MaxAttempts: 3, Handle: func(_ context.Context, e core.Event) error {
				order = append(order, e.Type)
				return errors.New("no")
			}})
		}))
		anna := teacher(t, p)
		for range 3 {
			_, err := p.Courses.Create(t.Context(), anna, courses.NewCourse{Title: "Databases"})
			require.NoError(t, err)
			require.NoError(t, p.Drain(t.Context()))
			p.Clock.Advance(time.Minute)
		}
		for _, job := range p.Recorded(t) {
			order = append(order, job.Kind+" "+string(job.State)+job.RunAt.String())
		}
		return order
	}
	require.Equal(t, run(), run())
}

func TestDrainLeavesAQueueOfTheTestsOwnAlone(t *testing.T) {
	t.Parallel()
	p := ustattest.New(t, ustattest.WithConfig(ustat.Config{Queue: tasks.NewMemory(nil)}))
	require.ErrorIs(t, p.Drain(t.Context()), core.ErrFailedPrecondition)
	teacher(t, p)
	require.Eventually(t, func() bool {
		waits, err := p.Backend.Accounts.Pending(t.Context(), 1)
		return err == nil && len(waits) == 0 && len(p.Events(t)) == 1
	}, 20*time.Second, 5*time.Millisecond, "it is delivered in the background, and recorded")
}
