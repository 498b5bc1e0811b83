package shardstore

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
	"github.com/ustat/ustat/storage/internal/sqlstore"
)

// identity is what makes an event this one.
type identity struct {
	key analytics.Key
	at  int64 // microseconds
	id  uuid.UUID
}

func identityOf(e *analytics.Event) identity {
	return identity{analytics.KeyOf(*e), e.OccurredAt.UnixMicro(), e.ID}
}

// Ingest implements analytics.ShardWriter.
func (s *Store) Ingest(ctx context.Context, list []analytics.Event, epochs map[analytics.Bucket]int64) ([]bool, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if err := s.partitions.prepare(ctx, list); err != nil {
		return nil, err
	}
	var fresh []bool
	err := s.db.Update(ctx, "analytics", func(ctx context.Context, tx *sqlstore.Tx) (err error) {
		fresh, err = s.ingest(ctx, ingesting{s, tx.Session()}, list, epochs)
		return err
	})
	if err != nil {
		return nil, err
	}
	return fresh, nil
}

func (s *Store) ingest(ctx context.Context, in ingesting, list []analytics.Event, epochs map[analytics.Bucket]int64) ([]bool, error) {
	h, err := s.read(ctx, in.at, s.db.ForShare())
	if err != nil {
		return nil, err
	}
	if err := h.admits(list, epochs); err != nil {
		return nil, err
	}
	stored, err := in.lock(ctx, keysOf(list))
	if err != nil {
		return nil, err
	}
	fresh, added, err := in.events(ctx, list)
	if err != nil {
		return nil, err
	}
	if err := fault.Hit("shardstore.ingest.after_events"); err != nil {
		return nil, err
	}
	if len(added) == 0 {
		return fresh, nil
	}
	if err := in.note(ctx, h, added); err != nil {
		return nil, err
	}
	known, err := in.learners(ctx, analytics.LearnerKeys(added))
	if err != nil {
		return nil, err
	}
	return fresh, in.write(ctx, stored, analytics.Fold(added, known))
}

// admits returns why events are not taken.
func (h *header) admits(list []analytics.Event, epochs map[analytics.Bucket]int64) error {
	for i := range list {
		if list[i].OccurredAt.Before(h.prunedBefore) {
			return analytics.ErrPruned.Withf("events of before %s have been removed from the log", h.prunedBefore.Format(time.RFC3339))
		}
		if len(h.buckets) == 0 {
			continue
		}
		b := analytics.KeyOf(list[i]).Bucket()
		state, known := h.buckets[b]
		if known && (state.State >= analytics.Fenced || epochs != nil && epochs[b] < state.Epoch) {
			return analytics.ErrMoved.Withf("bucket %d is on its way to another shard, or there", b)
		}
	}
	return nil
}

func keysOf(list []analytics.Event) []int64 {
	seen := map[int64]bool{}
	for i := range list {
		seen[int64(analytics.KeyOf(list[i]))] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// ingesting is what one transaction writes.
type ingesting struct {
	*Store
	at sqlstore.Session
}

// lock takes the totals of keys for the transaction, and with them all their rollups; those
// that have none get some. In the order of the keys, so that two writers do not wait for
// each other.
func (in ingesting) lock(ctx context.Context, keys []int64) (map[analytics.Key]*analytics.CourseTotals, error) {
	stored := make(map[analytics.Key]*analytics.CourseTotals, len(keys))
	if err := in.lockStored(ctx, keys, stored); err != nil || len(stored) == len(keys) {
		return stored, err
	}
	var missing []int64
	var rows [][]any
	for _, key := range keys {
		if stored[analytics.Key(key)] == nil {
			missing = append(missing, key)
			rows = append(rows, totalsRow(&analytics.CourseTotals{Key: analytics.Key(key)}))
		}
	}
	if err := totals.insert(ctx, in.at, in.arrays, rows, " ON CONFLICT DO NOTHING"); err != nil {
		return nil, err
	}
	return stored, in.lockStored(ctx, missing, stored)
}

func (in ingesting) lockStored(ctx context.Context, keys []int64, stored map[analytics.Key]*analytics.CourseTotals) error {
	where, args := in.db.In("course_id", keys)
	found, err := sqlstore.ReadAll(ctx, in.at, selectTotals+where+" ORDER BY course_id"+in.db.ForUpdate(), args, scanTotals)
	for i := range found {
		stored[found[i].Key] = &found[i]
	}
	return err
}

// events stores raw events and returns which of them were not there, and these.
func (in ingesting) events(ctx context.Context, list []analytics.Event) (fresh []bool, added []analytics.Event, err error) {
	first := make(map[identity]int, len(list))
	rows := make([][]any, 0, len(list))
	for i := range list {
		id := identityOf(&list[i])
		if _, twice := first[id]; twice {
			continue
		}
		first[id] = i
		rows = append(rows, in.eventRow(&list[i]))
	}
	got, err := insertReturning(ctx, events, in.at, in.arrays, rows, " ON CONFLICT DO NOTHING RETURNING course_id, occurred_at, id",
		func(rows *sql.Rows, id *identity) error {
			var at scannedTime
			err := rows.Scan(&id.key, &at, &id.id)
			id.at = at.UnixMicro()
			return err
		})
	if err != nil {
		return nil, nil, err
	}
	fresh, added = make([]bool, len(list)), make([]analytics.Event, len(got))
	for n, id := range got {
		i, ok := first[id]
		if !ok {
			return nil, nil, core.ErrInternal.Withf("the database returned an event that it was not given")
		}
		fresh[i], added[n] = true, list[i]
	}
	return fresh, added, nil
}

func (s *Store) eventRow(e *analytics.Event) []any {
	return []any{
		int64(analytics.KeyOf(*e)), s.moment(e.OccurredAt), s.id(e.ID), int64(e.Type.Code()), int64(e.Lesson), int64(e.User),
		e.Session, e.Amount.Minor, e.Amount.Currency, string(e.Properties), s.moment(e.ReceivedAt),
	}
}

// note keeps which events have come to buckets that are being copied.
func (in ingesting) note(ctx context.Context, h header, added []analytics.Event) error {
	var rows [][]any
	for i := range added {
		key := analytics.KeyOf(added[i])
		if state, known := h.buckets[key.Bucket()]; known && state.State == analytics.Copying {
			rows = append(rows, []any{int64(key), in.moment(added[i].OccurredAt), in.id(added[i].ID), int64(key.Bucket())})
		}
	}
	return late.insert(ctx, in.at, in.arrays, rows, " ON CONFLICT DO NOTHING")
}

// learners returns those that have done something already.
func (in ingesting) learners(ctx context.Context, keys []analytics.LearnerKey) ([]analytics.Learner, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	from, args := in.pairs(keys)
	return sqlstore.ReadAll(ctx, in.at, "SELECT l.course_id, l.user_id, l.viewed_at, l.enrolled_at, l.started_at, l.completed_at, l.weeks, l.lessons FROM "+from, args, scanLearner)
}

// pairs returns a join of learners with keys of them.
func (in ingesting) pairs(keys []analytics.LearnerKey) (string, []any) {
	courseIDs, users := make([]int64, len(keys)), make([]int64, len(keys))
	for i, k := range keys {
		courseIDs[i], users[i] = int64(k.Key), int64(k.User)
	}
	if in.arrays {
		return "unnest(?::bigint[], ?::bigint[]) AS k (course_id, user_id) JOIN ustat_analytics_learners AS l USING (course_id, user_id)", []any{courseIDs, users}
	}
	return "json_each(?) AS k CROSS JOIN ustat_analytics_learners AS l ON l.course_id = k.value->>0 AND l.user_id = k.value->>1", []any{jsonPairs(courseIDs, users)}
}

func scanLearner(rows *sql.Rows, l *analytics.Learner) error {
	var viewed, enrolled, started, completed int64
	var weeks, lessonList []byte
	err := rows.Scan(&l.Key, &l.User, &viewed, &enrolled, &started, &completed, &weeks, &lessonList)
	if err == nil {
		l.Weeks, err = unpackWeeks(weeks)
	}
	if err == nil {
		l.Lessons, err = unpackLessons(lessonList)
	}
	l.Viewed, l.Enrolled, l.Started, l.Completed = fromMicros(viewed), fromMicros(enrolled), fromMicros(started), fromMicros(completed)
	return err
}

// write adds what was counted to the stored rollups, of which the totals are locked.
func (in ingesting) write(ctx context.Context, stored map[analytics.Key]*analytics.CourseTotals, r *analytics.Rollups) error {
	if err := in.sketches(ctx, stored, r.Viewers); err != nil {
		return err
	}
	var rows rollupRows
	for key, d := range r.Totals {
		t := stored[key]
		t.Merge(d)
		rows.totals = append(rows.totals, totalsRow(t))
	}
	rows.of(r)
	for _, w := range []struct {
		table    *table
		rows     [][]any
		conflict string
	}{
		{totals, rows.totals, totals.replace()},
		{spans, rows.spans, spans.add()},
		{revenue, rows.revenue, revenue.add()},
		{lessons, rows.lessons, lessons.add()},
		{cohorts, rows.cohorts, cohorts.add()},
		{learners, rows.learners, learners.replace()},
		{days, rows.days, addDays},
	} {
		if err := w.table.insert(ctx, in.at, in.arrays, w.rows, w.conflict); err != nil {
			return err
		}
		if err := fault.Hit("shardstore.ingest.after_rollup"); err != nil {
			return err
		}
	}
	return nil
}

// addDays adds to a day, of which the last moment is the later one.
const addDays = ` ON CONFLICT (course_id, user_id, day) DO UPDATE SET events = ustat_analytics_days.events + excluded.events,
	lesson_completions = ustat_analytics_days.lesson_completions + excluded.lesson_completions,
	last_at = CASE WHEN excluded.last_at > ustat_analytics_days.last_at THEN excluded.last_at ELSE ustat_analytics_days.last_at END`

// rollupRows are rows of rollups as they are written.
type rollupRows struct{ totals, spans, revenue, lessons, cohorts, learners, days [][]any }

// of adds all but the totals.
func (rows *rollupRows) of(r *analytics.Rollups) {
	for key, c := range r.Spans {
		rows.spans = append(rows.spans, spanRow(key, c))
	}
	for key, m := range r.Revenue {
		rows.revenue = append(rows.revenue, revenueRow(key, m))
	}
	for key, c := range r.Lessons {
		rows.lessons = append(rows.lessons, lessonRow(key, c))
	}
	for key, n := range r.Cohorts {
		rows.cohorts = append(rows.cohorts, cohortRow(key, n))
	}
	for _, l := range r.Learners {
		rows.learners = append(rows.learners, learnerRow(l))
	}
	for _, d := range r.UserDays {
		rows.days = append(rows.days, dayRow(d))
	}
}

// sketches adds viewers to the sketches of courses, and counts them anew where that has
// changed one: most come again.
func (in ingesting) sketches(ctx context.Context, stored map[analytics.Key]*analytics.CourseTotals, seen map[analytics.Key][]uint64) error {
	if len(seen) == 0 {
		return nil
	}
	keys := make([]int64, 0, len(seen))
	for key := range seen {
		keys = append(keys, int64(key))
	}
	slices.Sort(keys)
	before, err := in.readSketches(ctx, keys)
	if err != nil {
		return err
	}
	var rows [][]any
	for key, hashes := range seen {
		var v analytics.Viewers
		if err := v.UnmarshalBinary(before[key]); err != nil {
			return err
		}
		if err := v.Add(hashes...); err != nil {
			return err
		}
		after, err := v.MarshalBinary()
		if err != nil {
			return core.ErrInternal.Because(err)
		}
		if string(after) == string(before[key]) {
			continue
		}
		stored[key].UniqueViewers = v.Count()
		rows = append(rows, []any{int64(key), after})
	}
	return viewers.insert(ctx, in.at, in.arrays, rows, viewers.replace())
}

func (in ingesting) readSketches(ctx context.Context, keys []int64) (map[analytics.Key][]byte, error) {
	type sketch struct {
		key  analytics.Key
		body []byte
	}
	where, args := in.db.In("course_id", keys)
	found, err := sqlstore.ReadAll(ctx, in.at, "SELECT course_id, sketch FROM ustat_analytics_viewers WHERE "+where, args,
		func(rows *sql.Rows, k *sketch) error { return rows.Scan(&k.key, &k.body) })
	bodies := make(map[analytics.Key][]byte, len(found))
	for _, k := range found {
		bodies[k.key] = k.body
	}
	return bodies, err
}
