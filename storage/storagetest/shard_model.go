package storagetest

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// log is events, of which every answer is counted by its definition, one event after the
// other and without any rollup.
type log []analytics.Event

func (l log) where(fits func(e analytics.Event) bool) log {
	return slices.DeleteFunc(slices.Clone(l), func(e analytics.Event) bool { return !fits(e) })
}

// firsts returns when each user did one of the types first.
func (l log) firsts(types ...analytics.Type) map[core.UserID]time.Time {
	first := map[core.UserID]time.Time{}
	for _, e := range l {
		if at, ok := first[e.User]; slices.Contains(types, e.Type) && e.User > 0 && (!ok || e.OccurredAt.Before(at)) {
			first[e.User] = e.OccurredAt
		}
	}
	return first
}

// counters counts a course's events in a stretch of time. The log is the whole course's,
// since learners count when they did something first.
func (l log) counters(from, to time.Time) (c analytics.Counters) {
	in := func(t time.Time) bool { return !t.Before(from) && t.Before(to) }
	n := map[analytics.Type]int64{}
	for _, e := range l {
		if in(e.OccurredAt) {
			n[e.Type]++
		}
	}
	learners := func(types ...analytics.Type) (n int64) {
		for _, at := range l.firsts(types...) {
			if in(at) {
				n++
			}
		}
		return n
	}
	return analytics.Counters{
		Views: n[analytics.View], LessonStarts: n[analytics.LessonStart], LessonCompletions: n[analytics.LessonComplete], Bookmarks: n[analytics.Bookmark],
		Reviews: n[analytics.Review], Purchases: n[analytics.Purchase], Refunds: n[analytics.Refund],
		Enrollments: learners(analytics.Enroll), Starts: learners(analytics.LessonStart, analytics.LessonComplete), Completions: learners(analytics.CourseComplete),
	}
}

func (l log) revenue(from, to time.Time) (list []analytics.Revenue) {
	for _, e := range l {
		if e.Amount.Currency == "" || e.OccurredAt.Before(from) || !e.OccurredAt.Before(to) {
			continue
		}
		i := slices.IndexFunc(list, func(r analytics.Revenue) bool { return r.Currency == e.Amount.Currency })
		if i < 0 {
			i, list = len(list), append(list, analytics.Revenue{Currency: e.Amount.Currency})
		}
		if e.Type == analytics.Purchase {
			list[i].Gross += e.Amount.Minor
		} else {
			list[i].Back += e.Amount.Minor
		}
	}
	slices.SortFunc(list, func(a, b analytics.Revenue) int { return cmp.Compare(a.Currency, b.Currency) })
	return list
}

var always = core.LastTime

// totals counts a key.
func (l log) totals(key analytics.Key) analytics.CourseTotals {
	of := l.where(func(e analytics.Event) bool { return analytics.KeyOf(e) == key })
	t := analytics.CourseTotals{Key: key, Events: int64(len(of))}
	if key > 0 {
		t.Counters, t.Revenue = of.counters(analytics.Earliest, always), of.revenue(analytics.Earliest, always)
	}
	for _, e := range of {
		if t.FirstAt.IsZero() || e.OccurredAt.Before(t.FirstAt) {
			t.FirstAt = e.OccurredAt
		}
		if e.ReceivedAt.After(t.UpdatedAt) {
			t.UpdatedAt = e.ReceivedAt
		}
	}
	return t
}

// viewers counts who has viewed a course.
func (l log) viewers(key analytics.Key) int64 {
	type viewer struct {
		user    core.UserID
		session string
	}
	seen := map[viewer]bool{}
	for _, e := range l {
		v := viewer{user: e.User}
		if e.User == 0 {
			v.session = e.Session
		}
		if analytics.KeyOf(e) == key && key > 0 && e.Type == analytics.View && v != (viewer{}) {
			seen[v] = true
		}
	}
	return int64(len(seen))
}

// requireCounted asserts that every answer of a shard is what the events say.
func requireCounted(t testing.TB, shard analytics.Shard, events []analytics.Event) {
	t.Helper()
	l := log(events)
	keys := keysOf(events)
	got, err := shard.Totals(timeout(t), keys)
	require.NoError(t, err)
	require.Len(t, got, len(keys))
	for i, key := range keys {
		want := l.totals(key)
		require.InDelta(t, l.viewers(key), got[i].UniqueViewers, 1, "viewers of %d", key) // few viewers are nearly exact
		got[i].UniqueViewers = 0
		require.Equal(t, want, got[i])
		if key > 0 {
			requireCourse(t, shard, key, l.where(func(e analytics.Event) bool { return analytics.KeyOf(e) == key }))
		}
	}
	for _, user := range l.users() {
		requireUser(t, shard, user, l.where(func(e analytics.Event) bool { return e.User == user }))
	}
}

func (l log) users() (users []core.UserID) {
	for _, e := range l {
		if e.User > 0 {
			users = append(users, e.User)
		}
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// requireCourse asserts the answers about a course, of whose events the log is.
func requireCourse(t testing.TB, shard analytics.Shard, key analytics.Key, l log) {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Kathmandu") // 5:45 ahead
	require.NoError(t, err)
	for grain, loc := range map[analytics.Grain]*time.Location{analytics.Day: time.UTC, analytics.Quarter: zone} {
		periods, err := analytics.Periods(analytics.ByDay, loc, day.AddDate(0, 0, -125), day.AddDate(0, 0, 2))
		require.NoError(t, err)
		got, err := shard.Series(timeout(t), key, grain, periods)
		require.NoError(t, err)
		require.Len(t, got, len(periods))
		for i, p := range periods {
			want := analytics.PeriodCounts{Counters: l.counters(p.From, p.To), Revenue: l.revenue(p.From, p.To)}
			require.Equal(t, want, got[i], "%d on %s", key, p.From)
		}
	}
	lessons, err := shard.Lessons(timeout(t), key, analytics.LessonKey{}, 1000)
	require.NoError(t, err)
	require.Equal(t, l.lessons(), lessons)
	cohorts, err := shard.Cohorts(timeout(t), key, 0, analytics.WeekOf(day)+1)
	require.NoError(t, err)
	require.Equal(t, l.cohorts(), cohorts)
}

func (l log) lessons() (list []analytics.LessonCounts) {
	ids := map[courses.LessonID]bool{}
	for _, e := range l {
		if e.Lesson > 0 {
			ids[e.Lesson] = true
		}
	}
	for id := range ids {
		of := l.where(func(e analytics.Event) bool { return e.Lesson == id })
		list = append(list, analytics.LessonCounts{
			Lesson: id, Started: int64(len(of.firsts(analytics.LessonStart, analytics.LessonComplete))), Completed: int64(len(of.firsts(analytics.LessonComplete))),
		})
	}
	slices.SortFunc(list, func(a, b analytics.LessonCounts) int { return cmp.Compare(a.Lesson, b.Lesson) })
	return slices.DeleteFunc(list, func(c analytics.LessonCounts) bool { return c.Started == 0 })
}

func (l log) cohorts() (list []analytics.CohortCount) {
	n := map[[2]int]int64{}
	for user, at := range l.firsts(analytics.Enroll) {
		cohort := analytics.WeekOf(at)
		n[[2]int{int(cohort), 0}]++
		weeks := map[analytics.Week]bool{}
		for _, e := range l {
			if e.User == user {
				weeks[analytics.WeekOf(e.OccurredAt)] = true
			}
		}
		for week := range weeks {
			if week > cohort {
				n[[2]int{int(cohort), int(week - cohort)}]++
			}
		}
	}
	for k, count := range n {
		list = append(list, analytics.CohortCount{Week: analytics.Week(k[0]), Later: k[1], N: count})
	}
	slices.SortFunc(list, func(a, b analytics.CohortCount) int {
		return cmp.Or(cmp.Compare(a.Week, b.Week), cmp.Compare(a.Later, b.Later))
	})
	return list
}

// requireUser asserts the answers about a user, of whose events the log is.
func requireUser(t testing.TB, shard analytics.Shard, user core.UserID, l log) {
	t.Helper()
	want := analytics.UserTotals{User: user}
	days := map[int64]*analytics.UserDay{}
	type in struct {
		course courses.CourseID
		lesson courses.LessonID
	}
	enrolled, completed, lessons := map[courses.CourseID]bool{}, map[courses.CourseID]bool{}, map[in]bool{}
	for _, e := range l {
		d := days[e.OccurredAt.Unix()/86400]
		if d == nil {
			d = &analytics.UserDay{User: user, Day: e.OccurredAt.Unix() / 86400}
			days[d.Day] = d
			want.Days = append(want.Days, d.Day)
		}
		d.Events++
		if e.OccurredAt.After(d.LastAt) {
			d.LastAt = e.OccurredAt
		}
		if e.OccurredAt.After(want.LastActive) {
			want.LastActive = e.OccurredAt
		}
		switch e.Type {
		case analytics.Enroll:
			enrolled[e.Course] = true
		case analytics.CourseComplete:
			completed[e.Course] = true
		case analytics.LessonComplete:
			d.LessonCompletions++
			lessons[in{e.Course, e.Lesson}] = true
		}
	}
	slices.Sort(want.Days)
	want.Enrollments, want.Completions, want.LessonsCompleted, want.ActiveDays = int64(len(enrolled)), int64(len(completed)), int64(len(lessons)), int64(len(days))
	got, err := shard.User(timeout(t), user)
	require.NoError(t, err)
	require.Equal(t, want, got)
	var wantDays []analytics.UserDay
	for _, n := range want.Days {
		wantDays = append(wantDays, *days[n])
	}
	gotDays, err := shard.UserDays(timeout(t), user, 0, 1<<30)
	require.NoError(t, err)
	require.Equal(t, wantDays, gotDays)
}

func (s shardSuite) reads() {
	s.run("Top orders by views, revenue and completion, and pages through equal values", func(t *testing.T, shard analytics.Shard) {
		list := randomEvents(t, random(t), 400)
		for i := range 30 { // with the same values
			list = append(list, prepared(t,
				analytics.Event{Type: analytics.View, Course: courses.CourseID(100 + i), User: 1},
				analytics.Event{Type: analytics.Enroll, Course: courses.CourseID(100 + i), User: 1},
				analytics.Event{Type: analytics.Purchase, Course: courses.CourseID(100 + i), User: 1, Amount: core.Money{Minor: 5, Currency: "EUR"}},
			)...)
		}
		ingest(t, shard, list...)
		for _, order := range []analytics.TopOrder{{By: analytics.TopViews}, {By: analytics.TopRevenue, Currency: "EUR"}, {By: analytics.TopRevenue, Currency: "RUB"}, {By: analytics.TopRevenue, Currency: "USD"}, {By: analytics.TopCompletion}} {
			var want []analytics.Key
			values := map[analytics.Key]int64{}
			for _, key := range keysOf(list) {
				total := log(list).totals(key)
				in := key > 0
				switch order.By {
				case analytics.TopRevenue:
					in = slices.ContainsFunc(total.Revenue, func(r analytics.Revenue) bool { return r.Currency == order.Currency })
				case analytics.TopCompletion:
					in = in && total.Enrollments > 0
				}
				if values[key] = order.Value(total); in {
					want = append(want, key)
				}
			}
			slices.SortFunc(want, func(a, b analytics.Key) int { return cmp.Or(cmp.Compare(values[b], values[a]), cmp.Compare(a, b)) })
			var got []analytics.Key
			var after *analytics.TopPosition
			for {
				page, err := shard.Top(timeout(t), order, after, 7)
				require.NoError(t, err)
				for _, total := range page {
					require.Equal(t, values[total.Key], order.Value(total))
					got = append(got, total.Key)
					after = &analytics.TopPosition{Value: order.Value(total), Key: total.Key}
				}
				if len(page) < 7 {
					break
				}
			}
			require.Equal(t, want, got, "%v", order)
		}
	})
	s.run("what has no rows is left out or zero", func(t *testing.T, shard analytics.Shard) {
		totals, err := shard.Totals(timeout(t), []analytics.Key{1, 2})
		require.NoError(t, err)
		require.Empty(t, totals)
		series, err := shard.Series(timeout(t), 1, analytics.Day, []analytics.Period{{From: day.Truncate(24 * time.Hour), To: day.Truncate(24*time.Hour).AddDate(0, 0, 1)}})
		require.NoError(t, err)
		require.Equal(t, []analytics.PeriodCounts{{}}, series)
		user, err := shard.User(timeout(t), 7)
		require.NoError(t, err)
		require.Equal(t, analytics.UserTotals{User: 7}, user)
		require.NoError(t, shard.Ping(timeout(t)))
		require.NoError(t, shard.Check(timeout(t)))
	})
}
