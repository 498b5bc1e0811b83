package analytics

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/ustat/ustat/courses"
)

// Fold returns what events add to the rollups of which known are the learners, by
// LearnerKeys of the same events; those that are not known have done nothing yet. Each
// event is one that has not been counted. It is what every Shard counts by.
func Fold(events []Event, known []Learner) *Rollups {
	r := &Rollups{
		Totals: map[Key]*CourseTotals{}, Spans: map[SpanKey]*Counters{}, Revenue: map[RevenueKey]*Revenue{},
		Lessons: map[LessonKey]*LessonCounts{}, Cohorts: map[CohortKey]int64{}, UserDays: map[UserDayKey]*UserDay{},
		Learners: map[LearnerKey]*Learner{}, Viewers: map[Key][]uint64{},
	}
	before := make(map[LearnerKey]Learner, len(known))
	for _, l := range known {
		before[LearnerKey{l.Key, l.User}] = l
		now := l
		now.Weeks, now.Lessons = slices.Clone(l.Weeks), slices.Clone(l.Lessons)
		r.Learners[LearnerKey{l.Key, l.User}] = &now
	}
	for i := range events {
		r.count(&events[i])
	}
	for key, now := range r.Learners {
		was := before[key]
		r.contribute(&was, -1)
		now.cut()
		r.contribute(now, 1)
	}
	r.dropZeros()
	return r
}

// LearnerKeys returns the users in courses that events change, without repeats.
func LearnerKeys(events []Event) []LearnerKey {
	seen := map[LearnerKey]bool{}
	var keys []LearnerKey
	for _, e := range events {
		key := LearnerKey{KeyOf(e), e.User}
		if e.User > 0 && key.Key > 0 && !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// count counts one event, without what depends on the learner.
func (r *Rollups) count(e *Event) {
	key := KeyOf(*e)
	total := at(r.Totals, key)
	total.Key = key
	total.Events++
	if total.FirstAt.IsZero() || e.OccurredAt.Before(total.FirstAt) {
		total.FirstAt = e.OccurredAt
	}
	if e.ReceivedAt.After(total.UpdatedAt) {
		total.UpdatedAt = e.ReceivedAt
	}
	if e.User > 0 {
		r.countDay(key, e)
	}
	if key < 0 {
		return
	}
	r.add(key, e.OccurredAt, counted(e.Type), 1)
	if e.Type == Purchase || e.Type == Refund {
		r.countMoney(key, e)
	}
	if e.Type == View {
		if visitor, ok := visitorOf(e); ok {
			r.Viewers[key] = append(r.Viewers[key], visitor)
		}
	}
	if e.User > 0 {
		l := at(r.Learners, LearnerKey{key, e.User})
		l.Key, l.User = key, e.User
		l.merge(e)
	}
}

// at returns what a map has of a key, which is made where it has nothing.
func at[K comparable, V any](m map[K]*V, key K) *V {
	v := m[key]
	if v == nil {
		v = new(V)
		m[key] = v
	}
	return v
}

// add adds counts to the totals of a key and to the stretches of a moment.
func (r *Rollups) add(key Key, moment time.Time, c Counters, n int64) {
	if c == (Counters{}) {
		return
	}
	total := at(r.Totals, key)
	total.Key = key
	total.Add(c, n)
	for _, grain := range []Grain{Quarter, Day} {
		at(r.Spans, SpanKey{key, grain, grain.Of(moment)}).Add(c, n)
	}
}

// counted returns what one event of a type counts by itself.
func counted(t Type) Counters {
	switch t {
	case View:
		return Counters{Views: 1}
	case LessonStart:
		return Counters{LessonStarts: 1}
	case LessonComplete:
		return Counters{LessonCompletions: 1}
	case Bookmark:
		return Counters{Bookmarks: 1}
	case Review:
		return Counters{Reviews: 1}
	case Purchase:
		return Counters{Purchases: 1}
	case Refund:
		return Counters{Refunds: 1}
	}
	return Counters{} // Enroll and CourseComplete count learners, Search nothing
}

func (r *Rollups) countMoney(key Key, e *Event) {
	for _, span := range []SpanKey{{Key: key}, {key, Quarter, Quarter.Of(e.OccurredAt)}, {key, Day, Day.Of(e.OccurredAt)}} {
		money := at(r.Revenue, RevenueKey{span, e.Amount.Currency})
		money.Currency = e.Amount.Currency
		if e.Type == Refund {
			money.Back += e.Amount.Minor
		} else {
			money.Gross += e.Amount.Minor
		}
	}
}

func (r *Rollups) countDay(key Key, e *Event) {
	day := e.OccurredAt.Unix() / 86400
	d := at(r.UserDays, UserDayKey{key, e.User, day})
	d.Key, d.User, d.Day = key, e.User, day
	d.Events++
	if e.Type == LessonComplete {
		d.LessonCompletions++
	}
	if e.OccurredAt.After(d.LastAt) {
		d.LastAt = e.OccurredAt
	}
}

// visitorOf returns the hash of who has viewed: the user, else the session.
func visitorOf(e *Event) (uint64, bool) {
	switch {
	case e.User > 0:
		return xxhash.Sum64String("u" + strconv.FormatInt(int64(e.User), 10)), true
	case e.Session != "":
		return xxhash.Sum64String("s" + e.Session), true
	}
	return 0, false
}

// merge adds an event to what the learner has done.
func (l *Learner) merge(e *Event) {
	first := func(moment *time.Time) {
		if moment.IsZero() || e.OccurredAt.Before(*moment) {
			*moment = e.OccurredAt
		}
	}
	switch e.Type {
	case View:
		first(&l.Viewed)
	case Enroll:
		first(&l.Enrolled)
	case LessonStart, LessonComplete:
		first(&l.Started)
		i, found := slices.BinarySearchFunc(l.Lessons, e.Lesson, func(have LearnerLesson, want courses.LessonID) int { return cmp.Compare(have.Lesson, want) })
		if !found {
			l.Lessons = slices.Insert(l.Lessons, i, LearnerLesson{Lesson: e.Lesson})
		}
		l.Lessons[i].Completed = l.Lessons[i].Completed || e.Type == LessonComplete
	case CourseComplete:
		first(&l.Completed)
	}
	week := WeekOf(e.OccurredAt)
	if i, found := slices.BinarySearch(l.Weeks, week); !found {
		l.Weeks = slices.Insert(l.Weeks, i, week)
	}
}

// cut keeps the bounds.
func (l *Learner) cut() {
	l.Weeks = l.Weeks[:min(len(l.Weeks), MaxWeeks)]
	l.Lessons = l.Lessons[:min(len(l.Lessons), MaxLessons)]
}

// contribute adds what the learner counts for, n times.
func (r *Rollups) contribute(l *Learner, n int64) {
	for _, step := range []struct {
		moment time.Time
		counts Counters
	}{{l.Enrolled, Counters{Enrollments: 1}}, {l.Started, Counters{Starts: 1}}, {l.Completed, Counters{Completions: 1}}} {
		if !step.moment.IsZero() {
			r.add(l.Key, step.moment, step.counts, n)
		}
	}
	for _, lesson := range l.Lessons {
		c := at(r.Lessons, LessonKey{l.Key, lesson.Lesson})
		c.Lesson = lesson.Lesson
		c.Started += n
		if lesson.Completed {
			c.Completed += n
		}
	}
	if l.Enrolled.IsZero() {
		return
	}
	cohort := WeekOf(l.Enrolled)
	r.Cohorts[CohortKey{l.Key, cohort, 0}] += n
	for _, week := range l.Weeks {
		if week > cohort {
			r.Cohorts[CohortKey{l.Key, cohort, int(week - cohort)}] += n
		}
	}
}

// dropZeros removes what learners that have not changed have added and taken away.
func (r *Rollups) dropZeros() {
	for key, c := range r.Spans {
		if *c == (Counters{}) {
			delete(r.Spans, key)
		}
	}
	for key, c := range r.Lessons {
		if c.Started == 0 && c.Completed == 0 {
			delete(r.Lessons, key)
		}
	}
	for key, n := range r.Cohorts {
		if n == 0 {
			delete(r.Cohorts, key)
		}
	}
}

// Merge adds what another fold has counted, of events that were folded with these learners
// known.
func (r *Rollups) Merge(o *Rollups) {
	for key, t := range o.Totals {
		total := at(r.Totals, key)
		total.Key = key
		total.Merge(t)
	}
	for key, c := range o.Spans {
		at(r.Spans, key).Add(*c, 1)
	}
	for key, m := range o.Revenue {
		money := at(r.Revenue, key)
		money.Currency, money.Gross, money.Back = m.Currency, money.Gross+m.Gross, money.Back+m.Back
	}
	for key, l := range o.Lessons {
		c := at(r.Lessons, key)
		c.Lesson, c.Started, c.Completed = l.Lesson, c.Started+l.Started, c.Completed+l.Completed
	}
	for key, n := range o.Cohorts {
		r.Cohorts[key] += n
	}
	for key, d := range o.UserDays {
		day := at(r.UserDays, key)
		day.Key, day.User, day.Day, day.Events, day.LessonCompletions = d.Key, d.User, d.Day, day.Events+d.Events, day.LessonCompletions+d.LessonCompletions
		if d.LastAt.After(day.LastAt) {
			day.LastAt = d.LastAt
		}
	}
	maps.Copy(r.Learners, o.Learners)
	for key, hashes := range o.Viewers {
		r.Viewers[key] = append(r.Viewers[key], hashes...)
	}
	r.dropZeros()
}
