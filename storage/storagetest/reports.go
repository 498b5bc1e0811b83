package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reports"
	"github.com/ustat/ustat/storage"
)

var reportsDomain = domain{
	name:   "reports",
	outbox: func(b *storage.Backend) core.Outbox { return b.Reports },
	update: func(ctx context.Context, b *storage.Backend, fn func(ctx context.Context, tx rows) error) error {
		return b.Reports.Update(ctx, func(ctx context.Context, tx reports.Tx) error {
			return fn(ctx, rows{
				Tx: tx,
				add: func(ctx context.Context, names ...string) error {
					list := make([]reports.Report, len(names))
					for i, name := range names {
						list[i] = newReport(name)
					}
					return tx.InsertReports(ctx, list...)
				},
				has: func(ctx context.Context, name string) (bool, error) { return hasReport(ctx, tx, name) },
				fault: func(ctx context.Context) error {
					r := newReport("nothing")
					r.State = "dancing"
					return tx.InsertReports(ctx, r)
				},
			})
		})
	},
	has: func(ctx context.Context, b *storage.Backend, name string) (bool, error) {
		return hasReport(ctx, b.Reports, name)
	},
}

func hasReport(ctx context.Context, r reports.Reader, name string) (bool, error) {
	_, err := r.ReportByID(ctx, newReport(name).ID)
	if errors.Is(err, reports.ErrReportNotFound) {
		return false, nil
	}
	return err == nil, err
}

// newReport returns a report whose id is made of a name.
func newReport(name string) reports.Report {
	return reports.Report{
		ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)), Kind: reports.Courses, Format: "csv", By: 42,
		State: reports.Queued, CreatedAt: day, ExpiresAt: day.Add(time.Hour),
	}
}

func inReports(t testing.TB, b *storage.Backend, fn func(ctx context.Context, tx reports.Tx) error) {
	t.Helper()
	require.NoError(t, b.Reports.Update(timeout(t), fn))
}

func addReports(t testing.TB, b *storage.Backend, list ...reports.Report) {
	t.Helper()
	inReports(t, b, func(ctx context.Context, tx reports.Tx) error { return tx.InsertReports(ctx, list...) })
}

// RunReports runs the cases of reports.Store.
func RunReports(t *testing.T, open Open, limits Limits) {
	s := suite{t, open, limits}
	s.updates(reportsDomain, accountsDomain)
	s.outbox(reportsDomain, accountsDomain)
	s.idempotency(reportsDomain)
	s.forgetting(reportsDomain, accountsDomain)
	s.reports()
}

func (s suite) reports() {
	s.run("InsertReports adds reports and ReportByID returns it", func(t *testing.T, b *storage.Backend) {
		queued, done := newReport("queued"), newReport("done")
		done.Filter = reports.Filter{Status: courses.Archived}
		done.By, done.State, done.Rows, done.Code = -1, reports.Done, 1<<40, awkward[1]
		done.Files = []blob.Key{blob.NewKey(blob.CSV), blob.NewKey(blob.XLSX)}
		given := done
		given.CreatedAt, given.FinishedAt, given.ExpiresAt = zoned(day), zoned(day.Add(time.Minute)), zoned(day.Add(time.Hour))
		addReports(t, b, queued, given)
		for _, want := range []reports.Report{queued, done} {
			got, err := b.Reports.ReportByID(timeout(t), want.ID)
			require.NoError(t, err)
			utc(t, day, got.CreatedAt)
			utc(t, day.Add(time.Hour), got.ExpiresAt)
			if want.State == reports.Done {
				utc(t, day.Add(time.Minute), got.FinishedAt)
				want.FinishedAt = got.FinishedAt
			}
			require.Equal(t, append([]blob.Key{}, want.Files...), append([]blob.Key{}, got.Files...))
			got.Files, want.Files = nil, nil
			require.Equal(t, want, got)
		}
		_, err := b.Reports.ReportByID(timeout(t), newReport("none").ID)
		require.ErrorIs(t, err, reports.ErrReportNotFound)
	})
	s.run("UpdateReport writes what becomes of a report and nothing else", func(t *testing.T, b *storage.Backend) {
		want := newReport("one")
		addReports(t, b, want, newReport("other"))
		want.State, want.Rows, want.Code, want.Files = reports.Failed, 7, "boom", []blob.Key{blob.NewKey(blob.CSV)}
		want.FinishedAt, want.ExpiresAt = day.Add(time.Minute), day.Add(48*time.Hour)
		changed := want
		changed.Kind, changed.Format, changed.By, changed.CreatedAt = "another", "xlsx", 1, day.Add(time.Hour)
		inReports(t, b, func(ctx context.Context, tx reports.Tx) error {
			if err := tx.UpdateReport(ctx, newReport("none")); !errors.Is(err, reports.ErrReportNotFound) {
				return fmt.Errorf("a report that is not there: %w", err)
			}
			if _, err := tx.ReportForUpdate(ctx, newReport("none").ID); !errors.Is(err, reports.ErrReportNotFound) {
				return fmt.Errorf("a report that is not there: %w", err)
			}
			return tx.UpdateReport(ctx, changed)
		})
		got, err := b.Reports.ReportByID(timeout(t), want.ID)
		require.NoError(t, err)
		require.Equal(t, want, got)
		other, err := b.Reports.ReportByID(timeout(t), newReport("other").ID)
		require.NoError(t, err)
		require.Equal(t, reports.Queued, other.State)
	})
	s.run("ReportForUpdate keeps others from changing it until the end of the transaction", func(t *testing.T, b *storage.Backend) {
		addReports(t, b, newReport("one"))
		const writers = 8
		var wg sync.WaitGroup
		errs := make([]error, writers)
		for i := range writers {
			wg.Go(func() {
				errs[i] = b.Reports.Update(timeout(t), func(ctx context.Context, tx reports.Tx) error {
					r, err := tx.ReportForUpdate(ctx, newReport("one").ID)
					if err != nil {
						return err
					}
					r.Rows++
					return tx.UpdateReport(ctx, r)
				})
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		got, err := b.Reports.ReportByID(timeout(t), newReport("one").ID)
		require.NoError(t, err)
		require.Equal(t, writers, got.Rows)
	})
	s.run("ExpiredReports returns the first to expire, up to limit, and DeleteReports removes them", func(t *testing.T, b *storage.Backend) {
		var list []reports.Report
		for i := range 4 {
			r := newReport(fmt.Sprint(i))
			r.ExpiresAt = day.Add(time.Duration(3-i) * time.Hour)
			list = append(list, r)
		}
		addReports(t, b, list...)
		expired := func(before time.Time, limit int, want ...int) {
			t.Helper()
			got, err := b.Reports.ExpiredReports(timeout(t), before, limit)
			require.NoError(t, err)
			require.Len(t, got, len(want))
			for i := range want {
				require.Equal(t, list[want[i]].ID, got[i].ID)
			}
		}
		expired(day, 10)
		expired(day.Add(2*time.Hour), 10, 3, 2)
		expired(day.Add(2*time.Hour+time.Microsecond), 2, 3, 2)
		expired(day.Add(2*time.Hour+time.Microsecond), 10, 3, 2, 1)
		inReports(t, b, func(ctx context.Context, tx reports.Tx) error {
			n, err := tx.DeleteReports(ctx, list[3].ID, list[1].ID, newReport("none").ID)
			if err == nil && n != 2 {
				err = fmt.Errorf("%d were removed", n)
			}
			none, noneErr := tx.DeleteReports(ctx)
			if none != 0 {
				err = errors.New("no ids remove nothing")
			}
			return errors.Join(err, noneErr)
		})
		expired(day.Add(24*time.Hour), 10, 2, 0)
	})
}
