package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/recommend"
)

const selectRecords = "SELECT id, user_id, course_id, kind, category_id, variant, at FROM ustat_interactions WHERE "

func scanRecord(rows *sql.Rows, r *recommend.Record) error {
	err := rows.Scan(&r.ID, &r.User, &r.Course, &r.Kind, &r.Category, &r.Variant, &r.At)
	r.At = r.At.UTC()
	return err
}

// recommendReader implements recommend.Reader over a pool or a Tx.
type recommendReader struct{ session }

func (r recommendReader) History(ctx context.Context, user core.UserID, limit int) ([]recommend.Record, error) {
	return readAll(ctx, r.session, selectRecords+"user_id = ? ORDER BY at DESC LIMIT ?", []any{user, limit}, scanRecord)
}

func (r recommendReader) RecordByID(ctx context.Context, user core.UserID, id uuid.UUID) (recommend.Record, error) {
	return one(ctx, r.session, recommend.ErrRecordNotFound, selectRecords+"user_id = ? AND id = ?", []any{user, id.String()}, scanRecord)
}

func (r recommendReader) RecordsAfter(ctx context.Context, after recommend.Record, limit int) ([]recommend.Record, error) {
	return readAll(ctx, r.session, selectRecords+"(user_id, course_id, kind, slot) > (?, ?, ?, ?) ORDER BY user_id, course_id, kind, slot LIMIT ?",
		[]any{after.User, after.Course, int64(after.Kind), after.Slot(), limit}, scanRecord)
}

func (r recommendReader) Growths(ctx context.Context, user core.UserID, limit int) ([]recommend.Growth, error) {
	return readAll(ctx, r.session, "SELECT user_id, category_id, growth FROM ustat_preferences WHERE user_id = ? ORDER BY growth DESC, category_id LIMIT ?",
		[]any{user, limit}, func(rows *sql.Rows, g *recommend.Growth) error { return rows.Scan(&g.User, &g.Category, &g.By) })
}

func (r recommendReader) Dismissed(ctx context.Context, user core.UserID, limit int) ([]courses.CourseID, error) {
	return readAll(ctx, r.session, "SELECT course_id FROM ustat_dismissals WHERE user_id = ? ORDER BY at DESC, course_id DESC LIMIT ?",
		[]any{user, limit}, scanOne[courses.CourseID])
}

func (r recommendReader) Model(ctx context.Context, strategy string) (recommend.KeptModel, error) {
	if !core.ValidText(strategy) {
		return recommend.KeptModel{}, recommend.ErrNoModel
	}
	return one(ctx, r.session, recommend.ErrNoModel, "SELECT strategy, id, chunks, size, began_at, saved_at FROM ustat_models WHERE strategy = ?", []any{strategy},
		func(rows *sql.Rows, m *recommend.KeptModel) error {
			err := rows.Scan(&m.Strategy, &m.ID, &m.Chunks, &m.Size, &m.BeganAt, &m.SavedAt)
			m.BeganAt, m.SavedAt = m.BeganAt.UTC(), m.SavedAt.UTC()
			return err
		})
}

func (r recommendReader) ModelChunk(ctx context.Context, id uuid.UUID, n int) ([]byte, error) {
	return one(ctx, r.session, recommend.ErrNoModel, "SELECT data FROM ustat_model_chunks WHERE model_id = ? AND n = ?", []any{id.String(), n}, scanOne[[]byte])
}

func (r recommendReader) Removals(ctx context.Context, since time.Time, after recommend.Position, limit int) ([]recommend.Removal, recommend.Position, error) {
	type row struct {
		recommend.Removal
		id recommend.Position
	}
	rows, err := readAll(ctx, r.session, "SELECT id, user_id, course_id, at FROM ustat_removals WHERE at >= ? AND id > ? ORDER BY id LIMIT ?",
		[]any{r.db.timeValue(core.Time(since)), int64(after), limit}, func(rows *sql.Rows, x *row) error {
			err := rows.Scan(&x.id, &x.User, &x.Course, &x.At)
			x.At = x.At.UTC()
			return err
		})
	list := make([]recommend.Removal, len(rows))
	for i, x := range rows {
		list[i], after = x.Removal, x.id
	}
	return list, after, err
}

// recommendStore implements recommend.Store.
type recommendStore struct {
	recommendReader
	outbox
	db *DB
}

func newRecommend(d *DB) *recommendStore {
	s := session{db: d}
	return &recommendStore{recommendReader{s}, outbox{s, "recommend"}, d}
}

// Update implements recommend.Store.
func (s *recommendStore) Update(ctx context.Context, fn func(ctx context.Context, tx recommend.Tx) error) error {
	return s.db.update(ctx, "recommend", func(ctx context.Context, tx *Tx) error {
		return fn(ctx, recommendTx{tx, recommendReader{tx.session}})
	})
}

// Join implements core.Joiner.
func (s *recommendStore) Join(tx *sql.Tx) (recommend.Store, error) {
	return newRecommend(s.db.join(tx)), nil
}

var _ core.Joiner[recommend.Store] = (*recommendStore)(nil)
