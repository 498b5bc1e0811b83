package analytics

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// Shard is the store of one database of analytics. Implementations are safe for
// concurrent use, keep times in UTC to the microsecond, and pass storagetest.RunShard.
//
// Each method is a fixed number of statements, whatever the number of events stored, and
// none but Events, Recount and the copying reads raw events.
type Shard interface {
	ShardWriter
	ShardReader
	ShardMover
	// Migrate applies the migrations that the shard lacks and returns their names; Check
	// fails with storage.ErrSchemaOld or storage.ErrSchemaNew where the schema does not
	// fit this version, and they name the migration.
	Migrate(ctx context.Context) ([]string, error)
	Check(ctx context.Context) error
	// Ping fails where the shard does not answer.
	Ping(ctx context.Context) error
	// Close ends what opening it has started.
	Close() error
}

// ShardWriter takes events.
type ShardWriter interface {
	// Ingest stores events, which Prepare has returned, and counts those that were not
	// there before, in one transaction. Fresh says of each whether it was counted; of
	// equal ones among them the first is. Epochs are those of the buckets by the caller's
	// directory, nil without one: a bucket for which the shard knows a newer one, or that
	// is fenced or gone, makes the call fail with ErrMoved and change nothing.
	Ingest(ctx context.Context, events []Event, epochs map[Bucket]int64) (fresh []bool, err error)
	// Recount counts a key's events anew and returns what differed from the stored
	// rollups; with repair these are then replaced. Meanwhile nothing else writes to the
	// key. It fails with ErrPruned where events have been removed.
	Recount(ctx context.Context, key Key, repair bool) (Recounted, error)
	// Keys returns up to limit keys that have rows, above after, ascending.
	Keys(ctx context.Context, after Key, limit int) ([]Key, error)
	// Prune removes raw events that occurred before a time, and leaves the rollups. It may
	// leave those of the month of the time. Ingest refuses such events from then on, with
	// ErrPruned.
	Prune(ctx context.Context, before time.Time) error
}

// The errors of shards.
var (
	// ErrMoved is returned for a bucket that is another shard's.
	ErrMoved = &core.Error{Kind: core.KindUnavailable, Code: "analytics.moved", Message: "the bucket has moved to another shard, or is about to"}
	// ErrPruned is returned for what needs events that have been removed.
	ErrPruned = &core.Error{Kind: core.KindFailedPrecondition, Code: "analytics.pruned", Message: "events of that time have been removed from the log"}
)

// Recounted is what a recount has found.
type Recounted struct {
	Key    Key
	Events int64 // that were counted
	// Differences are the first MaxDifferences rows that differed, Differing how many
	// did.
	Differences []Difference
	Differing   int
	Repaired    bool
}

// MaxDifferences is how many differences a recount describes.
const MaxDifferences = 100

// Difference is one row of a rollup that was not what the events say.
type Difference struct {
	Rollup  string // "totals", "spans", "revenue", "lessons", "cohorts", "user_days", "learners", "viewers"
	Row     string // what it counts, for people
	Stored  string // empty where there was no row
	Counted string // empty where there should be none
}

// Period is a stretch of time: from From on and before To, both at the limits of a
// quarter of an hour.
type Period struct{ From, To time.Time }

// PeriodCounts are the counts of a period.
type PeriodCounts struct {
	Counters
	Revenue []Revenue // by currency, ascending
}

// ShardReader answers from the rollups. What has no rows is left out or zero.
type ShardReader interface {
	// Totals returns those of keys that have rows, in order of the key.
	Totals(ctx context.Context, keys []Key) ([]CourseTotals, error)
	// Top returns up to limit totals of courses behind a position, from the greatest value
	// down and, where it is equal, by key ascending.
	Top(ctx context.Context, order TopOrder, after *TopPosition, limit int) ([]CourseTotals, error)
	// Series returns the counts of periods, of which there are at most MaxPoints and which
	// do not overlap, in their order. Grain is Day only if all their limits are midnights
	// of UTC.
	Series(ctx context.Context, key Key, grain Grain, periods []Period) ([]PeriodCounts, error)
	// Lessons returns up to limit lessons of a key above after, by id ascending.
	Lessons(ctx context.Context, key Key, after LessonKey, limit int) ([]LessonCounts, error)
	// Cohorts returns those of a key whose week is from..to, both included, by week and
	// Later ascending.
	Cohorts(ctx context.Context, key Key, from, to Week) ([]CohortCount, error)
	// User returns what a user has done on this shard.
	User(ctx context.Context, user core.UserID) (UserTotals, error)
	// UserDays returns a user's days from..to, both included, added up over keys, by day
	// ascending.
	UserDays(ctx context.Context, user core.UserID, from, to int64) ([]UserDay, error)
	// Events returns up to limit raw events of a key before a position, the latest first.
	Events(ctx context.Context, key Key, before *EventPosition, limit int) ([]Event, error)
}

// TopOrder says what courses are ordered by.
type TopOrder struct {
	By       TopBy
	Currency string // of TopRevenue
}

// TopBy names an order of courses.
type TopBy string

// The orders.
const (
	TopViews      TopBy = "views"
	TopRevenue    TopBy = "revenue"    // net, of one currency; courses without any are left out
	TopCompletion TopBy = "completion" // CompletionRate of those that somebody has enrolled in
)

// Value returns what a course is ordered by.
func (o TopOrder) Value(c CourseTotals) int64 {
	switch o.By {
	case TopRevenue:
		for _, r := range c.Revenue {
			if r.Currency == o.Currency {
				return r.Net().Minor
			}
		}
		return 0
	case TopCompletion:
		return c.Rate()
	}
	return c.Views
}

// TopPosition is a place in the order.
type TopPosition struct {
	Value int64 `json:"v"`
	Key   Key   `json:"k"`
}

// EventPosition is a place in the log of a key.
type EventPosition struct {
	At time.Time `json:"t"`
	ID uuid.UUID `json:"i"`
}

// UserTotals are what a user has done.
type UserTotals struct {
	User                     core.UserID
	Enrollments, Completions int64
	LessonsCompleted         int64
	ActiveDays               int64     // with an event, by UTC
	LastActive               time.Time // zero where there is no event
	Days                     []int64   // the active days, of one shard
}

// ShardMover is what a bucket is moved by; see Mover.
type ShardMover interface {
	// SetBucket sets the state of a bucket, after those who write to it have ended. The
	// epoch never falls: with a lower one than is stored it fails with ErrMoved.
	SetBucket(ctx context.Context, bucket Bucket, epoch int64, state BucketState) error
	// BucketState returns the state of a bucket and its epoch, 0 before SetBucket.
	BucketState(ctx context.Context, bucket Bucket) (BucketState, int64, error)
	// BucketSizes returns the sizes of the buckets that have rows, by bucket.
	BucketSizes(ctx context.Context) ([]BucketSize, error)
	// BucketKeys returns up to limit keys of a bucket that have rows, above after.
	BucketKeys(ctx context.Context, bucket Bucket, after Key, limit int) ([]Key, error)
	// CopyOut returns up to limit raw events of a key behind a position, the oldest first.
	CopyOut(ctx context.Context, key Key, after *EventPosition, limit int) ([]Event, error)
	// CopyIn stores raw events of a bucket without counting them; those that are there
	// already are left alone. Unless the bucket is Arriving with that very epoch, it fails
	// with ErrMoved and changes nothing.
	CopyIn(ctx context.Context, bucket Bucket, epoch int64, events []Event) error
	// Late returns up to limit events that were ingested while their bucket was Copying and
	// are not forgotten, and ForgetLate forgets some.
	Late(ctx context.Context, bucket Bucket, limit int) ([]Event, error)
	ForgetLate(ctx context.Context, events []Event) error
	// RollupsOut returns up to limit rows of one of RollupNames of a key behind a row,
	// nil for the first, and RollupsIn replaces rows, as CopyIn may. They are opaque, and
	// taken by shards of either engine.
	RollupsOut(ctx context.Context, key Key, rollup string, after []any, limit int) (rows [][]any, err error)
	RollupsIn(ctx context.Context, bucket Bucket, epoch int64, rollup string, rows [][]any) error
	// DropBucket removes rows of a bucket, about limit of them, and reports whether some are
	// left. Unless the bucket is Gone or Arriving with that very epoch, it fails with ErrMoved
	// and changes nothing.
	DropBucket(ctx context.Context, bucket Bucket, epoch int64, limit int) (more bool, err error)
}

// RollupNames are the names of the rollups, in the order in which they are copied.
var RollupNames = []string{"viewers", "spans", "revenue", "lessons", "cohorts", "learners", "user_days", "totals"}

// BucketState is what a shard holds of a bucket.
type BucketState int

// The states.
const (
	Serving  BucketState = iota // the bucket is here; buckets without a state are
	Copying                     // it is here, and what comes is noted for the copy
	Fenced                      // it is here to be read; writes fail with ErrMoved
	Arriving                    // it is being copied here; writes fail with ErrMoved
	Gone                        // it is elsewhere; writes fail with ErrMoved
)

// BucketSize is how much a bucket has on a shard.
type BucketSize struct {
	Bucket Bucket
	Keys   int64
	Events int64 // that were counted; with those that have been pruned
	Bytes  int64 // about
}
