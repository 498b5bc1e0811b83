package sqlstore

import (
	"context"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// reindexOld indexes the courses anew that were written before their text was made
// safe, whose markup is in the full-text index as if it were words. It is the part of
// migration 0008 that SQL cannot do: that leaves one row in ustat_reindex, with the
// id of the last course that is done, and this takes it away at the end. Each block is
// a transaction, so it may be killed at any moment and goes on from there.
func (s schema) reindexOld(ctx context.Context) error {
	if left, err := s.toReindex(ctx); err != nil || !left { // so that a Migrate with nothing to do writes nothing
		return err
	}
	after := afterStatement(ctx)
	for n := 1; ; n++ {
		done := false
		err := s.db.update(ctx, "schema", func(ctx context.Context, tx *Tx) (err error) {
			done, err = coursesTx{tx, coursesReader{tx.session}}.reindexBlock(ctx)
			return err
		})
		if err != nil || done {
			return err
		}
		after(n)
	}
}

// reindexBlock indexes the next courses of ustat_reindex and reports whether that
// was all.
func (t coursesTx) reindexBlock(ctx context.Context) (done bool, err error) {
	last, err := readAll(ctx, t.Tx.session, "SELECT last_id FROM ustat_reindex"+t.Tx.db.dialect.ForUpdate, nil, scanOne[courses.CourseID])
	if err != nil || len(last) == 0 {
		return true, err
	}
	ids, err := readAll(ctx, t.Tx.session, "SELECT id FROM ustat_courses WHERE id > ? AND text_policy = 0 ORDER BY id LIMIT ?",
		[]any{last[0], reindexRows}, scanOne[courses.CourseID])
	if err != nil {
		return false, err
	}
	if len(ids) == 0 {
		return true, t.Tx.WriteSQL(ctx, "DELETE FROM ustat_reindex")
	}
	if err := t.reindex(ctx, ids); err != nil {
		return false, err
	}
	return false, t.Tx.WriteSQL(ctx, "UPDATE ustat_reindex SET last_id = ?", ids[len(ids)-1])
}

// checkReindexed fails with storage.ErrSchemaOld while reindexOld has work to do.
func (s schema) checkReindexed(ctx context.Context) error {
	left, err := s.toReindex(ctx)
	if err == nil && left {
		err = storage.ErrSchemaOld.Withf("courses are still to be indexed anew: migrate the database to the end")
	}
	return err
}

func (s schema) toReindex(ctx context.Context) (bool, error) {
	left, err := readAll(ctx, session{db: s.db}, "SELECT last_id FROM ustat_reindex", nil, scanOne[courses.CourseID])
	return len(left) > 0, err
}
