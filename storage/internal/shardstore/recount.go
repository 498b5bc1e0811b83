package shardstore

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage/internal/sqlstore"
)

// recountRows is how many raw events are read at a time.
const recountRows = 5000

// Recount implements analytics.ShardWriter.
func (s *Store) Recount(ctx context.Context, key analytics.Key, repair bool) (found analytics.Recounted, err error) {
	err = s.db.Update(ctx, "analytics", func(ctx context.Context, tx *sqlstore.Tx) (err error) {
		found, err = s.recount(ctx, ingesting{s, tx.Session()}, key, repair)
		return err
	})
	return found, err
}

func (s *Store) recount(ctx context.Context, in ingesting, key analytics.Key, repair bool) (analytics.Recounted, error) {
	found := analytics.Recounted{Key: key}
	h, err := s.read(ctx, in.at, s.db.ForShare())
	if err != nil {
		return found, err
	}
	stored, err := in.lock(ctx, []int64{int64(key)})
	if err != nil {
		return found, err
	}
	if first := stored[key].FirstAt; !first.IsZero() && first.Before(h.prunedBefore) {
		return found, analytics.ErrPruned
	}
	counted, n, err := in.countAll(ctx, key)
	if err != nil {
		return found, err
	}
	found.Events = n
	for _, r := range rollups {
		if err := in.compare(ctx, key, r.name, r.table, counted[r.name], &found); err != nil {
			return found, err
		}
	}
	if found.Differing == 0 || !repair {
		return found, nil
	}
	found.Repaired = true
	for _, r := range rollups {
		if _, err := in.at.Exec(ctx, "DELETE FROM "+r.table.name+" WHERE course_id = ?", int64(key)); err != nil {
			return found, err
		}
		if err := r.table.insert(ctx, in.at, in.arrays, counted[r.name], ""); err != nil {
			return found, err
		}
	}
	return found, nil
}

// countAll counts the raw events of a key into rows, by the name of the rollup.
func (in ingesting) countAll(ctx context.Context, key analytics.Key) (map[string][][]any, int64, error) {
	all := analytics.Fold(nil, nil)
	var sketch analytics.Viewers
	var n int64
	var after *analytics.EventPosition
	for {
		page, err := in.copyOut(ctx, in.at, key, after, recountRows)
		if err != nil {
			return nil, 0, err
		}
		var known []analytics.Learner
		for _, k := range analytics.LearnerKeys(page) {
			if l := all.Learners[k]; l != nil {
				known = append(known, *l)
			}
		}
		r := analytics.Fold(page, known)
		if hashes := r.Viewers[key]; len(hashes) > 0 {
			if err := sketch.Add(hashes...); err != nil {
				return nil, 0, err
			}
			clear(r.Viewers)
		}
		all.Merge(r)
		n += int64(len(page))
		if len(page) < recountRows {
			break
		}
		last := page[len(page)-1]
		after = &analytics.EventPosition{At: last.OccurredAt, ID: last.ID}
	}
	body, err := sketch.MarshalBinary()
	if err != nil {
		return nil, 0, core.ErrInternal.Because(err)
	}
	total := all.Totals[key]
	if total == nil {
		total = &analytics.CourseTotals{Key: key}
	}
	total.UniqueViewers = sketch.Count()
	var rows rollupRows
	rows.of(all)
	counted := map[string][][]any{
		"totals": {totalsRow(total)}, "spans": rows.spans, "revenue": rows.revenue, "lessons": rows.lessons,
		"cohorts": rows.cohorts, "learners": rows.learners, "user_days": rows.days,
	}
	if len(body) > 0 {
		counted["viewers"] = [][]any{{int64(key), body}}
	}
	return counted, n, nil
}

// compare adds how the stored rows of a rollup differ from the counted ones. Rows that
// count nothing may be there or not.
func (in ingesting) compare(ctx context.Context, key analytics.Key, name string, t *table, counted [][]any, found *analytics.Recounted) error {
	stored, err := sqlstore.ReadAll(ctx, in.at, "SELECT "+t.list()+" FROM "+t.name+" WHERE course_id = ?", []any{int64(key)}, t.scan)
	if err != nil {
		return err
	}
	have, want := t.byKey(stored), t.byKey(counted)
	rows := map[string]bool{}
	for row := range have {
		rows[row] = true
	}
	for row := range want {
		rows[row] = true
	}
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		if have[row] == want[row] {
			continue
		}
		found.Differing++
		if len(found.Differences) < analytics.MaxDifferences {
			found.Differences = append(found.Differences, analytics.Difference{Rollup: name, Row: row, Stored: have[row], Counted: want[row]})
		}
	}
	return nil
}

// scan reads a row as insert takes it.
func (t *table) scan(rows *sql.Rows, row *[]any) error {
	values, pointers := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i, c := range t.columns {
		switch c.kind {
		case text, optionalText:
			pointers[i] = new(string)
		case bytes:
			pointers[i] = new([]byte)
		default:
			pointers[i] = new(int64)
		}
	}
	if err := rows.Scan(pointers...); err != nil {
		return err
	}
	for i, p := range pointers {
		switch p := p.(type) {
		case *string:
			values[i] = *p
		case *[]byte:
			values[i] = append([]byte{}, *p...)
		case *int64:
			values[i] = *p
		}
	}
	*row = values
	return nil
}

// byKey returns rows as texts for people, by the text of their key without the course.
func (t *table) byKey(rows [][]any) map[string]string {
	texts := make(map[string]string, len(rows))
	for _, row := range rows {
		var key, values []string
		zero := true
		for i, c := range t.columns {
			value := fmt.Sprint(row[i])
			if body, ok := row[i].([]byte); ok {
				value = fmt.Sprintf("%d bytes %x", len(body), xxhash.Sum64(body))
				zero = zero && len(body) == 0
			} else if i >= t.keys {
				zero = zero && value == "0"
			}
			if i < t.keys {
				key = append(key, c.name+" "+value)
			} else {
				values = append(values, c.name+" "+value)
			}
		}
		if !zero || t == learners {
			texts[strings.Join(key, ", ")] = strings.Join(values, ", ")
		}
	}
	return texts
}
