package sqlstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/recommend"
)

// recommendTx implements recommend.Tx.
type recommendTx struct {
	*Tx
	recommendReader
}

// recordRow is what AddRecords writes.
type recordRow struct {
	bun.BaseModel `bun:"table:ustat_interactions"`
	UserID        core.UserID        `bun:"user_id"`
	CourseID      courses.CourseID   `bun:"course_id"`
	Kind          int64              `bun:"kind"`
	Slot          int64              `bun:"slot"`
	ID            uuid.UUID          `bun:"id,type:uuid"`
	CategoryID    courses.CategoryID `bun:"category_id"`
	Variant       string             `bun:"variant"`
	At            time.Time          `bun:"at"`
}

// addedRow is what AddRecords reads back.
type addedRow struct {
	ID uuid.UUID `bun:"id"`
}

func (t recommendTx) AddRecords(ctx context.Context, list []recommend.Record) (added []uuid.UUID, err error) {
	if err := checkText(len(list), func(i int) []string { return []string{list[i].Variant} }); err != nil {
		return nil, err
	}
	rows := make([]recordRow, len(list))
	for i, r := range list {
		rows[i] = recordRow{
			UserID: r.User, CourseID: r.Course, Kind: int64(r.Kind), Slot: r.Slot(), ID: r.ID, CategoryID: r.Category, Variant: r.Variant, At: core.Time(r.At),
		}
	}
	// So that two lists at once take their rows in one order.
	slices.SortFunc(rows, func(a, b recordRow) int {
		return cmp.Or(cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.CourseID, b.CourseID), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Slot, b.Slot))
	})
	for block := range slices.Chunk(rows, blockRows) {
		got, err := insertBlock[recordRow, addedRow](ctx, t.Tx, "ustat_interactions", block, "id", nil)
		if err != nil {
			return nil, err
		}
		for _, row := range got {
			added = append(added, row.ID)
		}
	}
	return added, nil
}

// grow adds to a weight. PostgreSQL needs to be told the types of parameters that it can
// not see.
const grow = "INSERT INTO ustat_preferences (user_id, category_id, growth) VALUES (?, ?, CAST(? AS DOUBLE PRECISION))" +
	" ON CONFLICT (user_id, category_id) DO UPDATE SET growth = CASE" +
	" WHEN ustat_preferences.growth + excluded.growth <= CAST(? AS DOUBLE PRECISION) THEN ustat_preferences.growth + excluded.growth" +
	" WHEN ustat_preferences.growth > CAST(? AS DOUBLE PRECISION) THEN ustat_preferences.growth ELSE CAST(? AS DOUBLE PRECISION) END"

const shrink = "UPDATE ustat_preferences SET growth = CASE WHEN growth > CAST(? AS DOUBLE PRECISION) THEN growth - CAST(? AS DOUBLE PRECISION) ELSE 0 END" +
	" WHERE user_id = ? AND category_id = ?"

func (t recommendTx) Grow(ctx context.Context, list []recommend.Growth) error {
	list = slices.SortedFunc(slices.Values(list), func(a, b recommend.Growth) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Category, b.Category))
	})
	for _, g := range list {
		var err error
		if g.By < 0 {
			_, err = t.Tx.rawExec(ctx, shrink, -g.By, -g.By, g.User, g.Category)
		} else {
			_, err = t.Tx.rawExec(ctx, grow, g.User, g.Category, min(g.By, g.Most), g.Most, g.Most, g.Most)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t recommendTx) RemoveRecords(ctx context.Context, user core.UserID, course courses.CourseID) ([]recommend.Record, error) {
	return readAll(ctx, t.Tx.session, "DELETE FROM ustat_interactions WHERE user_id = ? AND course_id = ? RETURNING id, user_id, course_id, kind, category_id, variant, at",
		[]any{user, course}, scanRecord)
}

func (t recommendTx) ResetPreferences(ctx context.Context, user core.UserID) error {
	if _, err := t.Tx.rawExec(ctx, "UPDATE ustat_interactions SET category_id = 0 WHERE user_id = ? AND category_id <> 0", user); err != nil {
		return err
	}
	_, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_preferences WHERE user_id = ?", user)
	return err
}

func (t recommendTx) SetDismissed(ctx context.Context, d recommend.Dismissal, on bool) (bool, error) {
	query, args := "DELETE FROM ustat_dismissals WHERE user_id = ? AND course_id = ?", []any{d.User, d.Course}
	if on {
		query, args = "INSERT INTO ustat_dismissals (user_id, course_id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", append(args, core.Time(d.At))
	}
	n, err := t.Tx.rawExec(ctx, query, args...)
	return n > 0, err
}

func (t recommendTx) CountDismissed(ctx context.Context, user core.UserID) (int, error) {
	found, err := readAll(ctx, t.Tx.session, "SELECT count(*) FROM ustat_dismissals WHERE user_id = ?", []any{user}, scanOne[int])
	if err != nil {
		return 0, err
	}
	return found[0], nil
}

func (t recommendTx) AddRemoval(ctx context.Context, r recommend.Removal) error {
	_, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_removals (user_id, course_id, at) VALUES (?, ?, ?)", r.User, r.Course, core.Time(r.At))
	return err
}

// deleted is a statement that removes rows.
type deleted struct {
	query string
	args  []any
}

// removed runs statements and returns how many rows they removed in all.
func (t recommendTx) removed(ctx context.Context, all ...deleted) (int, error) {
	sum := 0
	for _, d := range all {
		n, err := t.Tx.rawExec(ctx, d.query, d.args...)
		if err != nil {
			return 0, err
		}
		sum += int(n)
	}
	return sum, nil
}

const (
	deleteRecords    = "DELETE FROM ustat_interactions WHERE (user_id, course_id, kind, slot) IN (SELECT user_id, course_id, kind, slot FROM ustat_interactions WHERE "
	deleteDismissals = "DELETE FROM ustat_dismissals WHERE (user_id, course_id) IN (SELECT user_id, course_id FROM ustat_dismissals WHERE "
)

func (t recommendTx) ForgetUser(ctx context.Context, user core.UserID, limit int) (int, error) {
	return t.removed(ctx,
		deleted{deleteRecords + "user_id = ? ORDER BY course_id, kind, slot LIMIT ?)", []any{user, limit}},
		deleted{deleteDismissals + "user_id = ? ORDER BY course_id LIMIT ?)", []any{user, limit}},
		deleted{"DELETE FROM ustat_preferences WHERE user_id = ?", []any{user}})
}

func (t recommendTx) ForgetCourse(ctx context.Context, course courses.CourseID, limit int) (int, error) {
	return t.removed(ctx,
		deleted{deleteRecords + "course_id = ? LIMIT ?)", []any{course, limit}},
		deleted{deleteDismissals + "course_id = ? LIMIT ?)", []any{course, limit}})
}

func (t recommendTx) ForgetRemovals(ctx context.Context, before time.Time, limit int) (int, error) {
	return t.removed(ctx, deleted{"DELETE FROM ustat_removals WHERE id IN (SELECT id FROM ustat_removals WHERE at < ? AND course_id <> 0 ORDER BY at LIMIT ?)", []any{core.Time(before), limit}})
}

func (t recommendTx) AddModelChunk(ctx context.Context, id uuid.UUID, n int, data []byte, at time.Time) error {
	_, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_model_chunks (model_id, n, data, kept_at) VALUES (?, ?, ?, ?)", id, n, data, core.Time(at))
	return err
}

func (t recommendTx) SetModel(ctx context.Context, m recommend.KeptModel) (bool, error) {
	if err := checkText(1, func(int) []string { return []string{m.Strategy} }); err != nil {
		return false, err
	}
	// The row's lock makes two at once take turns.
	n, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_models (strategy, id, chunks, size, began_at, saved_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		m.Strategy, m.ID, m.Chunks, m.Size, core.Time(m.BeganAt), core.Time(m.SavedAt))
	if err != nil || n == 1 {
		return n == 1, err
	}
	before, err := readAll(ctx, t.Tx.session, "SELECT id FROM ustat_models WHERE strategy = ?"+t.Tx.db.dialect.ForUpdate, []any{m.Strategy}, scanOne[uuid.UUID])
	if err != nil {
		return false, err
	}
	n, err = t.Tx.rawExec(ctx, "UPDATE ustat_models SET id = ?, chunks = ?, size = ?, began_at = ?, saved_at = ? WHERE strategy = ? AND began_at <= ?",
		m.ID, m.Chunks, m.Size, core.Time(m.BeganAt), core.Time(m.SavedAt), m.Strategy, core.Time(m.BeganAt))
	if err != nil || n == 0 {
		return false, err
	}
	for _, id := range before {
		if _, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_model_chunks WHERE model_id = ?", id); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (t recommendTx) ForgetChunks(ctx context.Context, before time.Time, limit int) (int, error) {
	return t.removed(ctx, deleted{"DELETE FROM ustat_model_chunks WHERE (model_id, n) IN (SELECT c.model_id, c.n FROM ustat_model_chunks AS c WHERE c.kept_at < ?" +
		" AND NOT EXISTS (SELECT 1 FROM ustat_models AS m WHERE m.id = c.model_id) ORDER BY c.kept_at LIMIT ?)", []any{core.Time(before), limit}})
}
