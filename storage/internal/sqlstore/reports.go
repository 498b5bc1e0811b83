package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/reports"
)

const (
	reportColumns = "id, kind, format, filter, requested_by, state, files, row_count, code, created_at, finished_at, expires_at"
	selectReports = "SELECT " + reportColumns + " FROM ustat_reports WHERE "
)

func scanReport(rows *sql.Rows, r *reports.Report) error {
	var filter, files []byte
	var finished sql.NullTime
	if err := rows.Scan(&r.ID, &r.Kind, &r.Format, &filter, &r.By, &r.State, &files, &r.Rows, &r.Code, &r.CreatedAt, &finished, &r.ExpiresAt); err != nil {
		return err
	}
	r.CreatedAt, r.FinishedAt, r.ExpiresAt = r.CreatedAt.UTC(), orZero(finished), r.ExpiresAt.UTC()
	if err := json.Unmarshal(filter, &r.Filter); err != nil {
		return core.ErrInternal.Because(err)
	}
	if err := json.Unmarshal(files, &r.Files); err != nil {
		return core.ErrInternal.Because(err)
	}
	return nil
}

// filesText returns the keys as they are stored.
func filesText(files []blob.Key) (string, error) {
	text, err := json.Marshal(append([]blob.Key{}, files...))
	if err != nil {
		return "", core.ErrInternal.Because(err)
	}
	return string(text), nil
}

// reportsReader implements reports.Reader over a pool or a Tx.
type reportsReader struct{ session }

func (r reportsReader) ReportByID(ctx context.Context, id uuid.UUID) (reports.Report, error) {
	return r.report(ctx, "", id)
}

func (r reportsReader) report(ctx context.Context, lock string, id uuid.UUID) (reports.Report, error) {
	found, err := readAll(ctx, r.session, selectReports+"id = ?"+lock, []any{id.String()}, scanReport)
	if err != nil {
		return reports.Report{}, err
	}
	if len(found) == 0 {
		return reports.Report{}, reports.ErrReportNotFound
	}
	return found[0], nil
}

func (r reportsReader) ExpiredReports(ctx context.Context, before time.Time, limit int) ([]reports.Report, error) {
	return readAll(ctx, r.session, selectReports+"expires_at < ? ORDER BY expires_at, id LIMIT ?",
		[]any{r.db.timeValue(core.Time(before)), limit}, scanReport)
}

// reportsTx implements reports.Tx.
type reportsTx struct {
	*Tx
	reportsReader
}

// reportRow is what InsertReports writes.
type reportRow struct {
	bun.BaseModel `bun:"table:ustat_reports"`
	ID            uuid.UUID     `bun:"id,type:uuid"`
	Kind          string        `bun:"kind"`
	Format        string        `bun:"format"`
	Filter        string        `bun:"filter"`
	RequestedBy   core.UserID   `bun:"requested_by"`
	State         reports.State `bun:"state"`
	Files         string        `bun:"files"`
	RowCount      int           `bun:"row_count"`
	Code          string        `bun:"code"`
	CreatedAt     time.Time     `bun:"created_at"`
	FinishedAt    any           `bun:"finished_at"`
	ExpiresAt     time.Time     `bun:"expires_at"`
}

func newReportRow(r reports.Report) (reportRow, error) {
	filter, err := json.Marshal(r.Filter)
	if err != nil {
		return reportRow{}, core.ErrInternal.Because(err)
	}
	files, err := filesText(r.Files)
	return reportRow{
		ID: r.ID, Kind: r.Kind, Format: r.Format, Filter: string(filter), RequestedBy: r.By, State: r.State, Files: files, RowCount: r.Rows, Code: r.Code,
		CreatedAt: core.Time(r.CreatedAt), FinishedAt: orNull(r.FinishedAt), ExpiresAt: core.Time(r.ExpiresAt),
	}, err
}

func (t reportsTx) InsertReports(ctx context.Context, list ...reports.Report) error {
	if err := checkText(len(list), func(i int) []string {
		return []string{list[i].Kind, list[i].Format, list[i].Code, string(list[i].Filter.Status)}
	}); err != nil {
		return err
	}
	rows := make([]reportRow, len(list))
	for i, r := range list {
		var err error
		if rows[i], err = newReportRow(r); err != nil {
			return err
		}
	}
	_, ok, err := insert[reportRow, string](ctx, t.Tx, "ustat_reports", rows, "id")
	if err == nil && !ok {
		return core.ErrConflict.Withf("a report with that id is there already")
	}
	return err
}

func (t reportsTx) ReportForUpdate(ctx context.Context, id uuid.UUID) (reports.Report, error) {
	return t.report(ctx, t.Tx.db.dialect.ForUpdate, id)
}

func (t reportsTx) UpdateReport(ctx context.Context, r reports.Report) error {
	if err := checkText(1, func(int) []string { return []string{r.Code} }); err != nil {
		return err
	}
	files, err := filesText(r.Files)
	if err != nil {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_reports SET state = ?, files = ?, row_count = ?, code = ?, finished_at = ?, expires_at = ? WHERE id = ?",
		r.State, files, r.Rows, r.Code, orNull(r.FinishedAt), core.Time(r.ExpiresAt), r.ID)
	if err == nil && n == 0 {
		return reports.ErrReportNotFound
	}
	return err
}

func (t reportsTx) DeleteReports(ctx context.Context, ids ...uuid.UUID) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_reports WHERE id IN (?)", bun.List(ids))
	return int(n), err
}

// reportsStore implements reports.Store.
type reportsStore struct {
	reportsReader
	outbox
	db *DB
}

func newReports(d *DB) *reportsStore {
	s := session{db: d}
	return &reportsStore{reportsReader{s}, outbox{s, "reports"}, d}
}

// Update implements reports.Store.
func (s *reportsStore) Update(ctx context.Context, fn func(ctx context.Context, tx reports.Tx) error) error {
	return s.db.update(ctx, "reports", func(ctx context.Context, tx *Tx) error {
		return fn(ctx, reportsTx{tx, reportsReader{tx.session}})
	})
}

// Join implements core.Joiner.
func (s *reportsStore) Join(tx *sql.Tx) (reports.Store, error) { return newReports(s.db.join(tx)), nil }

var _ core.Joiner[reports.Store] = (*reportsStore)(nil)
