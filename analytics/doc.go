// Package analytics keeps what happens on a platform: events, each once, on the shard
// that its course belongs to, and the rollups that every report is read from.
//
// A [Router] holds the shards. Track sends each event to the one that its
// [ShardStrategy] names and returns when it is on the disk there; callers share
// transactions. A [Service] is the router behind the rules of who may read what, with
// courses by slug and lists by cursor.
//
// An event is identified by its course, time and id: one that comes again counts once,
// whatever way it takes. Rollups depend on the set of events alone, not on their order:
// late events count where they belong. Events have the time at which they happened
// (OccurredAt, by whoever saw it) and the one at which they were taken (ReceivedAt, by
// the router's clock); every report goes by the first.
//
// Views, purchases, refunds and the like are counted as they happen. Enrollments, starts
// and completions are learners: each counts once in a course, when it happened first.
package analytics
