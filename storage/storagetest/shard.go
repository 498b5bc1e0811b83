package storagetest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// OpenShard returns an empty, migrated shard and closes it in t.Cleanup.
type OpenShard = func(t *testing.T) analytics.Shard

// RunShard runs the cases of analytics.Shard.
func RunShard(t *testing.T, open OpenShard) {
	s := shardSuite{t, open}
	s.ingest()
	s.reads()
	s.recounts()
	s.moves()
}

// RunDirectory runs the cases of analytics.DirectoryStore.
func RunDirectory(t *testing.T, open Open, limits Limits) {
	suite{t, open, limits}.directory()
}

type shardSuite struct {
	t    *testing.T
	open OpenShard
}

func (s shardSuite) run(name string, test func(t *testing.T, shard analytics.Shard)) {
	s.t.Run(name, func(t *testing.T) {
		t.Parallel()
		test(t, s.open(t))
	})
}

// prepared returns events as the router hands them over.
func prepared(t testing.TB, list ...analytics.Event) []analytics.Event {
	t.Helper()
	out := make([]analytics.Event, len(list))
	for i, e := range list {
		var err error
		out[i], err = analytics.Prepare(e, day.Add(time.Duration(i)*time.Microsecond))
		require.NoError(t, err)
	}
	return out
}

func ingest(t testing.TB, shard analytics.Shard, list ...analytics.Event) []bool {
	t.Helper()
	fresh, err := shard.Ingest(timeout(t), list, nil)
	require.NoError(t, err)
	require.Len(t, fresh, len(list))
	return fresh
}

// randomEvents returns events of few people in few courses over four months, with what
// engines get wrong in their texts.
func randomEvents(t testing.TB, r *rand.Rand, n int) []analytics.Event {
	t.Helper()
	list := make([]analytics.Event, n)
	for i := range list {
		e := analytics.Event{
			ID: uuid.New(), Type: analytics.Types[r.IntN(len(analytics.Types))], Course: courses.CourseID(1 + r.IntN(6)), User: core.UserID(1 + r.IntN(12)),
			OccurredAt: day.Add(-time.Duration(r.Int64N(int64(120 * 24 * time.Hour)))),
		}
		switch e.Type {
		case analytics.LessonStart, analytics.LessonComplete:
			e.Lesson = courses.LessonID(1 + r.IntN(5))
		case analytics.Purchase, analytics.Refund:
			e.Amount = core.Money{Minor: r.Int64N(1_000_000_000), Currency: []string{"EUR", "RUB"}[r.IntN(2)]}
		case analytics.Search:
			e.Course = 0
			e.Properties, _ = json.Marshal(map[string]string{"q": awkward[r.IntN(len(awkward))]})
		case analytics.View:
			if r.IntN(2) == 0 {
				e.User, e.Session = 0, "session "+strconv.Itoa(r.IntN(30))
			}
		}
		list[i] = e
	}
	return prepared(t, list...)
}

func (s shardSuite) ingest() {
	s.run("Ingest stores events as they are, and Events returns those of a key, the latest first", func(t *testing.T, shard analytics.Shard) {
		list := randomEvents(t, random(t), 600)
		for _, fresh := range ingest(t, shard, list...) {
			require.True(t, fresh)
		}
		for _, key := range keysOf(list) {
			want := slices.DeleteFunc(slices.Clone(list), func(e analytics.Event) bool { return analytics.KeyOf(e) != key })
			slices.SortFunc(want, func(a, b analytics.Event) int {
				return cmp.Or(b.OccurredAt.Compare(a.OccurredAt), cmp.Compare(b.ID.String(), a.ID.String()))
			})
			var got []analytics.Event
			var before *analytics.EventPosition
			for {
				page, err := shard.Events(timeout(t), key, before, 7)
				require.NoError(t, err)
				got = append(got, page...)
				if len(page) < 7 {
					break
				}
				before = &analytics.EventPosition{At: page[6].OccurredAt, ID: page[6].ID}
			}
			require.Equal(t, want, got)
		}
	})
	s.run("Ingest counts an event once, also twice in a call and in concurrent ones", func(t *testing.T, shard analytics.Shard) {
		list := randomEvents(t, random(t), 50)
		again := append(slices.Clone(list), list...)
		fresh := ingest(t, shard, again...)
		for i, f := range fresh {
			require.Equal(t, i < len(list), f, "%d", i)
		}
		for _, f := range ingest(t, shard, list...) {
			require.False(t, f)
		}
		more := randomEvents(t, random(t), 200)
		var counted [4]int
		var wg sync.WaitGroup
		var errs [4]error
		for i := range counted {
			wg.Go(func() {
				for part := range slices.Chunk(more, 20) {
					fresh, err := shard.Ingest(timeout(t), part, nil)
					errs[i] = errors.Join(errs[i], err)
					for _, f := range fresh {
						if f {
							counted[i]++
						}
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs[:]...))
		require.Equal(t, len(more), counted[0]+counted[1]+counted[2]+counted[3])
		requireCounted(t, shard, append(list, more...))
	})
	s.run("rollups depend on the set of events alone", func(t *testing.T, shard analytics.Shard) {
		r := random(t)
		list := randomEvents(t, r, size(5000, 1500))
		given := append(slices.Clone(list), list[:len(list)/3]...) // some come again
		r.Shuffle(len(given), func(i, j int) { given[i], given[j] = given[j], given[i] })
		for len(given) > 0 {
			n := min(len(given), 1+r.IntN(300))
			ingest(t, shard, given[:n]...)
			given = given[n:]
		}
		requireCounted(t, shard, list)
	})
	s.run("Ingest writes many rows by a statement", func(t *testing.T, shard analytics.Shard) {
		count := func(n int) int {
			ctx, queries := storage.CountQueries(timeout(t))
			_, err := shard.Ingest(ctx, randomEvents(t, random(t), n), nil)
			require.NoError(t, err)
			return queries.Count()
		}
		count(500) // courses and months are there
		require.Less(t, count(4000), 400, "a statement writes many rows")
	})
	s.run("Ingest changes nothing where it fails", func(t *testing.T, shard analytics.Shard) {
		list := randomEvents(t, random(t), 20)
		ctx, cancel := context.WithCancel(timeout(t))
		cancel()
		_, err := shard.Ingest(ctx, list, nil)
		require.ErrorIs(t, err, context.Canceled)
		for _, f := range ingest(t, shard, list...) {
			require.True(t, f)
		}
	})
	s.run("Prune removes old events, leaves the rollups, and refuses what comes later", func(t *testing.T, shard analytics.Shard) {
		list := randomEvents(t, random(t), 300)
		ingest(t, shard, list...)
		before := day.AddDate(0, -2, 0)
		require.NoError(t, shard.Prune(timeout(t), before))
		month := time.Date(before.Year(), before.Month(), 1, 0, 0, 0, 0, time.UTC)
		for _, key := range keysOf(list) {
			left, err := shard.Events(timeout(t), key, nil, 1000)
			require.NoError(t, err)
			for _, e := range list {
				there := slices.ContainsFunc(left, func(have analytics.Event) bool { return have.ID == e.ID })
				if analytics.KeyOf(e) == key && e.OccurredAt.Before(month) {
					require.False(t, there)
				}
				if analytics.KeyOf(e) == key && !e.OccurredAt.Before(before) {
					require.True(t, there)
				}
			}
		}
		requireCounted(t, shard, list)
		_, err := shard.Ingest(timeout(t), prepared(t, analytics.Event{Type: analytics.View, Course: 1, OccurredAt: before.Add(-time.Second)}), nil)
		require.ErrorIs(t, err, analytics.ErrPruned)
		_, err = shard.Recount(timeout(t), 1, true)
		require.ErrorIs(t, err, analytics.ErrPruned)
		require.ErrorIs(t, shard.Prune(timeout(t), time.Now().Add(time.Hour)), core.ErrInvalid)
	})
}

func keysOf(list []analytics.Event) (keys []analytics.Key) {
	for _, e := range list {
		keys = append(keys, analytics.KeyOf(e))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (s shardSuite) recounts() {
	s.run("Recount says what differs and repairs it", func(t *testing.T, shard analytics.Shard) {
		list := append(randomEvents(t, random(t), 400), prepared(t, // so that every rollup has a row
			analytics.Event{Type: analytics.View, Course: 1, User: 1}, analytics.Event{Type: analytics.Enroll, Course: 1, User: 1},
			analytics.Event{Type: analytics.LessonComplete, Course: 1, Lesson: 1, User: 1},
			analytics.Event{Type: analytics.Purchase, Course: 1, User: 1, Amount: core.Money{Minor: 1, Currency: "EUR"}},
		)...)
		ingest(t, shard, list...)
		found, err := shard.Recount(timeout(t), 1, true)
		require.NoError(t, err)
		require.Zero(t, found.Differing, "%v", found.Differences)
		require.False(t, found.Repaired)
		for _, name := range analytics.RollupNames {
			rows, err := shard.RollupsOut(timeout(t), 1, name, nil, 1)
			require.NoError(t, err)
			require.Len(t, rows, 1, name)
			broken := slices.Clone(rows[0])
			if last := len(broken) - 1; name == "viewers" || name == "learners" {
				broken[last] = []byte{}
			} else {
				broken[last] = broken[last].(int64) + 7
			}
			b := analytics.Key(1).Bucket()
			require.NoError(t, shard.SetBucket(timeout(t), b, 2, analytics.Arriving))
			require.NoError(t, shard.RollupsIn(timeout(t), b, 2, name, [][]any{broken}))
			require.NoError(t, shard.SetBucket(timeout(t), b, 2, analytics.Serving))
		}
		found, err = shard.Recount(timeout(t), 1, false)
		require.NoError(t, err)
		require.Equal(t, len(analytics.RollupNames), found.Differing, "%v", found.Differences)
		require.False(t, found.Repaired)
		for _, d := range found.Differences {
			require.NotEqual(t, d.Stored, d.Counted)
			require.Contains(t, analytics.RollupNames, d.Rollup)
		}
		found, err = shard.Recount(timeout(t), 1, true)
		require.NoError(t, err)
		require.Equal(t, len(analytics.RollupNames), found.Differing)
		require.True(t, found.Repaired)
		requireCounted(t, shard, list)
	})
}

func (s shardSuite) moves() {
	s.run("SetBucket refuses writes of an older epoch and to what is not served", func(t *testing.T, shard analytics.Shard) {
		list := prepared(t, analytics.Event{Type: analytics.View, Course: 5, User: 1}, analytics.Event{Type: analytics.View, Course: 6, User: 1})
		five := analytics.KeyOf(list[0]).Bucket()
		for _, state := range []analytics.BucketState{analytics.Fenced, analytics.Arriving, analytics.Gone} {
			require.NoError(t, shard.SetBucket(timeout(t), five, 3, state))
			got, epoch, err := shard.BucketState(timeout(t), five)
			require.NoError(t, err)
			require.Equal(t, state, got)
			require.Equal(t, int64(3), epoch)
			_, err = shard.Ingest(timeout(t), list, map[analytics.Bucket]int64{five: 3})
			require.ErrorIs(t, err, analytics.ErrMoved)
			ingest(t, shard, list[1])
		}
		require.NoError(t, shard.SetBucket(timeout(t), five, 4, analytics.Serving))
		require.ErrorIs(t, shard.SetBucket(timeout(t), five, 3, analytics.Serving), analytics.ErrMoved)
		_, err := shard.Ingest(timeout(t), list, map[analytics.Bucket]int64{five: 3})
		require.ErrorIs(t, err, analytics.ErrMoved)
		fresh, err := shard.Ingest(timeout(t), list, map[analytics.Bucket]int64{five: 4})
		require.NoError(t, err)
		require.Equal(t, []bool{true, false}, fresh)
	})
	s.run("what comes while a bucket is copied is noted until it is forgotten", func(t *testing.T, shard analytics.Shard) {
		list := prepared(t, analytics.Event{Type: analytics.View, Course: 5, User: 1}, analytics.Event{Type: analytics.View, Course: 5, User: 2}, analytics.Event{Type: analytics.View, Course: 6, User: 1})
		five := analytics.KeyOf(list[0]).Bucket()
		ingest(t, shard, list[0])
		require.NoError(t, shard.SetBucket(timeout(t), five, 1, analytics.Copying))
		ingest(t, shard, list...)
		got, err := shard.Late(timeout(t), five, 10)
		require.NoError(t, err)
		require.Equal(t, list[1:2], got)
		require.NoError(t, shard.ForgetLate(timeout(t), got))
		got, err = shard.Late(timeout(t), five, 10)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	s.run("no events and no rows are nothing to copy", func(t *testing.T, shard analytics.Shard) {
		require.Empty(t, ingest(t, shard))
		require.NoError(t, shard.SetBucket(timeout(t), 5, 2, analytics.Arriving))
		require.NoError(t, shard.CopyIn(timeout(t), 5, 2, nil))
		require.NoError(t, shard.ForgetLate(timeout(t), nil))
		require.NoError(t, shard.RollupsIn(timeout(t), 5, 2, "totals", nil))
		_, err := shard.RollupsOut(timeout(t), 1, "events", nil, 1)
		require.ErrorIs(t, err, core.ErrInvalid)
	})
	s.run("a bucket that is copied with its rollups answers alike, and DropBucket removes it", func(t *testing.T, shard analytics.Shard) {
		other := s.open(t)
		list := randomEvents(t, random(t), 500)
		ingest(t, shard, list...)
		sizes, err := shard.BucketSizes(timeout(t))
		require.NoError(t, err)
		events := int64(0)
		for _, size := range sizes {
			events += size.Events
			require.NoError(t, other.SetBucket(timeout(t), size.Bucket, 2, analytics.Arriving))
			copyBucket(t, shard, other, size.Bucket)
			require.NoError(t, other.SetBucket(timeout(t), size.Bucket, 2, analytics.Serving))
		}
		require.Equal(t, int64(len(list)), events)
		requireCounted(t, other, list)
		for _, key := range keysOf(list) {
			found, err := other.Recount(timeout(t), key, false)
			require.NoError(t, err)
			require.Zero(t, found.Differing, "%v", found.Differences)
		}
		for _, epoch := range []int64{0, 2} {
			_, err = shard.DropBucket(timeout(t), sizes[0].Bucket, epoch, 10)
			require.ErrorIs(t, err, analytics.ErrMoved, "it is served here")
			_, err = other.DropBucket(timeout(t), sizes[0].Bucket, epoch, 10)
			require.ErrorIs(t, err, analytics.ErrMoved, "it is served there")
			require.ErrorIs(t, other.CopyIn(timeout(t), sizes[0].Bucket, epoch, list[:1]), analytics.ErrMoved)
			require.ErrorIs(t, other.RollupsIn(timeout(t), sizes[0].Bucket, epoch, "totals", nil), analytics.ErrMoved)
		}
		for _, size := range sizes {
			require.NoError(t, shard.SetBucket(timeout(t), size.Bucket, 2, analytics.Gone))
		}
		user, err := shard.User(timeout(t), 1)
		require.NoError(t, err)
		require.Equal(t, analytics.UserTotals{User: 1}, user, "rows of what has gone are not read")
		top, err := shard.Top(timeout(t), analytics.TopOrder{By: analytics.TopViews}, nil, 10)
		require.NoError(t, err)
		require.Empty(t, top)
		for _, size := range sizes {
			for more := true; more; {
				more, err = shard.DropBucket(timeout(t), size.Bucket, 2, 50)
				require.NoError(t, err)
			}
		}
		keys, err := shard.Keys(timeout(t), -analytics.Buckets-1, 10)
		require.NoError(t, err)
		require.Empty(t, keys)
	})
}

// copyBucket copies all of a bucket, some at a time.
func copyBucket(t testing.TB, from, to analytics.Shard, b analytics.Bucket) {
	t.Helper()
	keys, err := from.BucketKeys(timeout(t), b, -analytics.Buckets-1, 1000)
	require.NoError(t, err)
	for _, key := range keys {
		var after *analytics.EventPosition
		for {
			page, err := from.CopyOut(timeout(t), key, after, 20)
			require.NoError(t, err)
			require.NoError(t, to.CopyIn(timeout(t), b, 2, page))
			if len(page) < 20 {
				break
			}
			after = &analytics.EventPosition{At: page[19].OccurredAt, ID: page[19].ID}
		}
		for _, name := range analytics.RollupNames {
			var last []any
			for {
				rows, err := from.RollupsOut(timeout(t), key, name, last, 20)
				require.NoError(t, err)
				require.NoError(t, to.RollupsIn(timeout(t), b, 2, name, rows))
				if len(rows) < 20 {
					break
				}
				last = rows[19]
			}
		}
	}
}

func (s suite) directory() {
	s.run("PlaceAll keeps the first map, Place changes a bucket that is where it was", func(t *testing.T, b *storage.Backend) {
		none, err := b.Shards.Placements(timeout(t))
		require.NoError(t, err)
		require.Empty(t, none)
		var wg sync.WaitGroup
		stored := make([][]analytics.Placement, 4)
		errs := make([]error, 4)
		for i := range stored {
			wg.Go(func() {
				first := make([]analytics.Placement, analytics.Buckets)
				for n := range first {
					first[n] = analytics.Placement{Bucket: analytics.Bucket(n), Shard: strconv.Itoa(i), Epoch: 1}
				}
				stored[i], errs[i] = b.Shards.PlaceAll(timeout(t), first)
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		for i := range stored {
			require.Equal(t, stored[0], stored[i], "one wins")
		}
		was := stored[0][7]
		is := analytics.Placement{Bucket: 7, Shard: "other", Epoch: 2, MovingTo: "third"}
		require.NoError(t, b.Shards.Place(timeout(t), was, is))
		require.ErrorIs(t, b.Shards.Place(timeout(t), was, is), analytics.ErrPlacementChanged)
		got, err := b.Shards.Placements(timeout(t))
		require.NoError(t, err)
		want := slices.Clone(stored[0])
		want[7] = is
		require.Equal(t, want, got)
	})
}
