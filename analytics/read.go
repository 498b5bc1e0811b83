package analytics

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ustat/ustat/core"
)

// of calls fn on the shard that holds a key.
func (r *Router) of(ctx context.Context, key Key, fn func(ctx context.Context, shard Shard) error) error {
	if err := r.load(ctx, time.Time{}); err != nil {
		return err
	}
	l, err := r.lane(key)
	if err != nil {
		return err
	}
	return l.read(ctx, fn)
}

// gather calls fn on shards at once and returns the names of those that are away. Other
// errors fail it.
func (r *Router) gather(ctx context.Context, names []string, fn func(ctx context.Context, i int, shard Shard) error) (missing []string, err error) {
	errs := make([]error, len(names))
	r.each(ctx, names, func(ctx context.Context, i int, l *lane) error {
		return l.read(ctx, func(ctx context.Context, shard Shard) error { return fn(ctx, i, shard) })
	}, errs)
	for i, err := range errs {
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case core.KindOf(err) == core.KindUnavailable:
			missing = append(missing, names[i])
		default:
			return nil, err
		}
	}
	return missing, nil
}

// Totals returns the totals of courses in the order asked for, zero where nothing has
// happened, and the names of shards that did not answer, whose courses are zero too. Two
// statements a shard.
func (r *Router) Totals(ctx context.Context, keys []Key) (totals []CourseTotals, missing []string, err error) {
	if err := r.load(ctx, time.Time{}); err != nil {
		return nil, nil, err
	}
	by := map[string][]Key{}
	for _, key := range keys {
		l, err := r.lane(key)
		if err != nil {
			return nil, nil, err
		}
		by[l.name] = append(by[l.name], key)
	}
	var names []string
	for name := range by {
		names = append(names, name)
	}
	slices.Sort(names)
	answers := make([][]CourseTotals, len(names))
	missing, err = r.gather(ctx, names, func(ctx context.Context, i int, shard Shard) (err error) {
		answers[i], err = shard.Totals(ctx, by[names[i]])
		return err
	})
	found := map[Key]CourseTotals{}
	for _, t := range slices.Concat(answers...) {
		found[t.Key] = t
	}
	totals = make([]CourseTotals, len(keys))
	for i, key := range keys {
		totals[i] = found[key]
		totals[i].Key = key
	}
	return totals, missing, err
}

// Top returns up to limit courses behind a position in an order, merged from all shards,
// and the names of those that did not answer. Two statements a shard.
func (r *Router) Top(ctx context.Context, order TopOrder, after *TopPosition, limit int) (top []CourseTotals, missing []string, err error) {
	if err := r.load(ctx, time.Time{}); err != nil {
		return nil, nil, err
	}
	answers := make([][]CourseTotals, len(r.names))
	missing, err = r.gather(ctx, r.names, func(ctx context.Context, i int, shard Shard) (err error) {
		answers[i], err = shard.Top(ctx, order, after, limit)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return mergeTop(order, answers, limit, func(i int, t CourseTotals) bool { return r.strategy.Locate(t.Key) == r.names[i] }), missing, nil
}

// mergeTop merges sorted answers, of which it drops what is not that shard's: a bucket
// that has just arrived is on two.
func mergeTop(order TopOrder, answers [][]CourseTotals, limit int, keeps func(i int, t CourseTotals) bool) []CourseTotals {
	var top []CourseTotals
	for len(top) < limit {
		best := -1
		for i := range answers {
			for len(answers[i]) > 0 && !keeps(i, answers[i][0]) {
				answers[i] = answers[i][1:]
			}
			if len(answers[i]) > 0 && (best < 0 || compareTop(order, answers[i][0], answers[best][0]) < 0) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		top = append(top, answers[best][0])
		answers[best] = answers[best][1:]
	}
	return top
}

func compareTop(order TopOrder, a, b CourseTotals) int {
	return cmp.Or(cmp.Compare(order.Value(b), order.Value(a)), cmp.Compare(a.Key, b.Key))
}

// Series returns the counts of periods of a course. Two statements.
func (r *Router) Series(ctx context.Context, key Key, periods []Period) (counts []PeriodCounts, err error) {
	grain := Day
	for _, p := range periods {
		if p.From.Unix()%int64(Day) != 0 || p.To.Unix()%int64(Day) != 0 {
			grain = Quarter
		}
	}
	err = r.of(ctx, key, func(ctx context.Context, shard Shard) (err error) {
		counts, err = shard.Series(ctx, key, grain, periods)
		return err
	})
	return counts, err
}

// Lessons returns up to limit lessons of a course above after. One statement.
func (r *Router) Lessons(ctx context.Context, key Key, after LessonKey, limit int) (lessons []LessonCounts, err error) {
	err = r.of(ctx, key, func(ctx context.Context, shard Shard) (err error) {
		lessons, err = shard.Lessons(ctx, key, after, limit)
		return err
	})
	return lessons, err
}

// Cohorts returns the cohorts of a course of the weeks from..to. One statement.
func (r *Router) Cohorts(ctx context.Context, key Key, from, to Week) (cohorts []CohortCount, err error) {
	err = r.of(ctx, key, func(ctx context.Context, shard Shard) (err error) {
		cohorts, err = shard.Cohorts(ctx, key, from, to)
		return err
	})
	return cohorts, err
}

// Events returns up to limit raw events of a key before a position, the latest first. One
// statement.
func (r *Router) Events(ctx context.Context, key Key, before *EventPosition, limit int) (events []Event, err error) {
	err = r.of(ctx, key, func(ctx context.Context, shard Shard) (err error) {
		events, err = shard.Events(ctx, key, before, limit)
		return err
	})
	return events, err
}

// User returns what a user has done, from all shards. Two statements a shard.
func (r *Router) User(ctx context.Context, user core.UserID) (UserReport, error) {
	answers := make([]UserTotals, len(r.names))
	missing, err := r.gather(ctx, r.names, func(ctx context.Context, i int, shard Shard) (err error) {
		answers[i], err = shard.User(ctx, user)
		return err
	})
	report := UserReport{Missing: missing}
	report.User = user
	for _, a := range answers {
		report.Enrollments += a.Enrollments
		report.Completions += a.Completions
		report.LessonsCompleted += a.LessonsCompleted
		report.Days = append(report.Days, a.Days...)
		if a.LastActive.After(report.LastActive) {
			report.LastActive = a.LastActive
		}
	}
	slices.Sort(report.Days)
	report.Days = slices.Compact(report.Days)
	report.ActiveDays = int64(len(report.Days))
	return report, err
}

// UserDays returns a user's days from..to, from all shards. One statement a shard.
func (r *Router) UserDays(ctx context.Context, user core.UserID, from, to int64) (UserActivity, error) {
	answers := make([][]UserDay, len(r.names))
	missing, err := r.gather(ctx, r.names, func(ctx context.Context, i int, shard Shard) (err error) {
		answers[i], err = shard.UserDays(ctx, user, from, to)
		return err
	})
	var days []UserDay
	all := slices.Concat(answers...)
	slices.SortStableFunc(all, func(a, b UserDay) int { return cmp.Compare(a.Day, b.Day) })
	for _, d := range all {
		if n := len(days); n > 0 && days[n-1].Day == d.Day {
			days[n-1].Events += d.Events
			days[n-1].LessonCompletions += d.LessonCompletions
			if d.LastAt.After(days[n-1].LastAt) {
				days[n-1].LastAt = d.LastAt
			}
			continue
		}
		d.Key, d.User = 0, user
		days = append(days, d)
	}
	return UserActivity{days, missing}, err
}

// Recount counts a key anew on its shard; see ShardWriter.
func (r *Router) Recount(ctx context.Context, key Key, repair bool) (Recounted, error) {
	if err := r.load(ctx, time.Time{}); err != nil {
		return Recounted{}, err
	}
	l, err := r.lane(key)
	if err != nil {
		return Recounted{}, err
	}
	return l.shard.Recount(ctx, key, repair)
}
