package httpapi

import (
	"time"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
)

// partial is a page of T to which some shards may have given nothing.
type partial[T any] struct {
	Results []T      `json:"results" nullable:"false"`
	Next    *string  `json:"next" doc:"The cursor of the next page; null on the last"`
	Missing []string `json:"missing_shards" nullable:"false" doc:"The shards that did not answer: what they hold is not in it"`
}

// whole is all of T at once.
type whole[T any] struct {
	Results []T `json:"results" nullable:"false"`
}

func wholeOf[T, V any](items []T, view func(T) V) whole[V] {
	return whole[V]{present(items, "", view).Results}
}

type courseAnalytics struct {
	Course         string       `json:"course" doc:"Slug"`
	Views          int64        `json:"views"`
	UniqueViewers  int64        `json:"unique_viewers" doc:"Estimated, within about 2 %: users, and sessions of visitors"`
	Enrollments    int64        `json:"enrollments" doc:"Learners, each once"`
	Starts         int64        `json:"starts" doc:"Of them, those that have started or completed a lesson"`
	Completions    int64        `json:"completions" doc:"Of them, those that have completed the course"`
	CompletionRate float64      `json:"completion_rate" minimum:"0" maximum:"1" doc:"Completions by enrollments; 0 without one"`
	Revenue        []core.Money `json:"revenue" nullable:"false" doc:"By currency: what was paid less what went back"`
	AverageRating  *float64     `json:"average_rating" minimum:"1" maximum:"5" doc:"null when unrated"`
	UpdatedAt      *time.Time   `json:"updated_at" doc:"When its last event was taken; null without one"`
}

func courseAnalyticsOf(r analytics.CourseReport) courseAnalytics {
	out := courseAnalytics{
		Course: r.Course.Slug, Views: r.Views, UniqueViewers: r.UniqueViewers, Enrollments: r.Enrollments, Starts: r.Starts, Completions: r.Completions,
		CompletionRate: r.CompletionRate(), Revenue: netOf(r.Revenue), UpdatedAt: timeOrNull(r.UpdatedAt),
	}
	if r.Ratings.Count > 0 {
		average := float64(r.Ratings.Sum) / float64(r.Ratings.Count)
		out.AverageRating = &average
	}
	return out
}

func netOf(revenue []analytics.Revenue) []core.Money {
	out := make([]core.Money, len(revenue))
	for i, r := range revenue {
		out[i] = r.Net()
	}
	return out
}

type pointOfTime struct {
	From              time.Time    `json:"from"`
	To                time.Time    `json:"to" doc:"The point ends before it"`
	Views             int64        `json:"views"`
	Enrollments       int64        `json:"enrollments"`
	Starts            int64        `json:"starts"`
	Completions       int64        `json:"completions"`
	LessonStarts      int64        `json:"lesson_starts"`
	LessonCompletions int64        `json:"lesson_completions"`
	Bookmarks         int64        `json:"bookmarks"`
	Reviews           int64        `json:"reviews"`
	Purchases         int64        `json:"purchases"`
	Refunds           int64        `json:"refunds"`
	Revenue           []core.Money `json:"revenue" nullable:"false" doc:"By currency: what was paid less what went back"`
}

func pointOf(p analytics.Point) pointOfTime {
	return pointOfTime{
		From: p.From.UTC(), To: p.To.UTC(), Views: p.Views, Enrollments: p.Enrollments, Starts: p.Starts, Completions: p.Completions,
		LessonStarts: p.LessonStarts, LessonCompletions: p.LessonCompletions, Bookmarks: p.Bookmarks, Reviews: p.Reviews,
		Purchases: p.Purchases, Refunds: p.Refunds, Revenue: netOf(p.Revenue),
	}
}

type funnelStep struct {
	Step   string `json:"step" enum:"view,enroll,start,complete"`
	People int64  `json:"people" doc:"Each once; viewers are estimated"`
}

func stepOf(s analytics.Step) funnelStep { return funnelStep{s.Name, s.People} }

type lessonDropOff struct {
	Lesson    string `json:"lesson" doc:"The id of the lesson"`
	Started   int64  `json:"started" doc:"Learners that have started or completed it"`
	Completed int64  `json:"completed"`
}

func dropOffOf(l analytics.LessonCounts) lessonDropOff {
	return lessonDropOff{idText(l.Lesson), l.Started, l.Completed}
}

type cohort struct {
	Week   time.Time `json:"week" doc:"The Monday, in UTC, of the week in which its learners enrolled"`
	Size   int64     `json:"size"`
	Active []int64   `json:"active" nullable:"false" doc:"How many of them did something in the first week after, the second, and so on up to the present one"`
}

func cohortOf(c analytics.Cohort) cohort {
	return cohort{c.Week, c.Size, append([]int64{}, c.Active...)}
}

type earned struct {
	GrossMinor    int64  `json:"gross_minor" doc:"Paid, in minor units"`
	RefundedMinor int64  `json:"refunded_minor" doc:"Of it, what went back"`
	AmountMinor   int64  `json:"amount_minor" doc:"What stays"`
	Currency      string `json:"currency"`
}

func earnedOf(r analytics.Revenue) earned {
	return earned{r.Gross, r.Back, r.Net().Minor, r.Currency}
}

type courseRevenue struct {
	Course  string   `json:"course" doc:"Slug"`
	Revenue []earned `json:"revenue" nullable:"false"`
}

type teacherRevenue struct {
	Teacher string          `json:"teacher" doc:"Username"`
	Total   []earned        `json:"total" nullable:"false" doc:"By currency"`
	Courses []courseRevenue `json:"courses" nullable:"false" doc:"The youngest first, at most 1,000"`
	Missing []string        `json:"missing_shards" nullable:"false" doc:"The shards that did not answer: their courses are without revenue in it"`
}

func teacherRevenueOf(r analytics.RevenueReport) teacherRevenue {
	return teacherRevenue{
		Teacher: r.Teacher, Total: present(r.Total, "", earnedOf).Results, Missing: append([]string{}, r.Missing...),
		Courses: present(r.Courses, "", func(c analytics.CourseReport) courseRevenue {
			return courseRevenue{c.Course.Slug, present(c.Revenue, "", earnedOf).Results}
		}).Results,
	}
}

type userAnalytics struct {
	User             string     `json:"user" doc:"Username"`
	Enrollments      int64      `json:"enrollments"`
	Completions      int64      `json:"completions"`
	LessonsCompleted int64      `json:"lessons_completed"`
	ActiveDays       int64      `json:"active_days" doc:"Days of UTC with an event"`
	LastActive       *time.Time `json:"last_active" doc:"null without an event"`
	Missing          []string   `json:"missing_shards" nullable:"false" doc:"The shards that did not answer: what they hold is not in it"`
}

func userAnalyticsOf(username string, r analytics.UserReport) userAnalytics {
	return userAnalytics{
		User: username, Enrollments: r.Enrollments, Completions: r.Completions, LessonsCompleted: r.LessonsCompleted, ActiveDays: r.ActiveDays,
		LastActive: timeOrNull(r.LastActive), Missing: append([]string{}, r.Missing...),
	}
}

type activeDay struct {
	Day              string    `json:"day" doc:"Of UTC, as 2026-01-31"`
	Events           int64     `json:"events"`
	LessonsCompleted int64     `json:"lessons_completed"`
	LastAt           time.Time `json:"last_at"`
}

type userActivity struct {
	Results []activeDay `json:"results" nullable:"false" doc:"The days with an event, the first first"`
	Missing []string    `json:"missing_shards" nullable:"false" doc:"The shards that did not answer: what they hold is not in it"`
}

func activityOf(a analytics.UserActivity) userActivity {
	return userActivity{
		Missing: append([]string{}, a.Missing...),
		Results: present(a.Days, "", func(d analytics.UserDay) activeDay {
			return activeDay{time.Unix(d.Day*86400, 0).UTC().Format(time.DateOnly), d.Events, d.LessonCompletions, d.LastAt.UTC()}
		}).Results,
	}
}

type rawEvent struct {
	ID         string      `json:"id"`
	Type       string      `json:"type" enum:"view,enroll,lesson_start,lesson_complete,course_complete,bookmark,review,search,purchase,refund"`
	Lesson     *string     `json:"lesson" doc:"Its id; null but for events of lessons"`
	User       *string     `json:"user" doc:"Username; null for visitors, and for users that are gone"`
	Session    *string     `json:"session"`
	Amount     *core.Money `json:"amount,omitempty" doc:"Of purchases and refunds"`
	OccurredAt time.Time   `json:"occurred_at" doc:"By the clock of who saw it"`
	ReceivedAt time.Time   `json:"received_at" doc:"By the server's"`
	Properties any         `json:"properties,omitempty" doc:"A JSON object, as it was sent"`
}

// rawEventWith presents events of users with those names.
func rawEventWith(users []accounts.Name) func(e analytics.Event) rawEvent {
	usernames := make(map[core.UserID]string, len(users))
	for _, u := range users {
		usernames[u.ID] = u.Username
	}
	return func(e analytics.Event) rawEvent {
		out := rawEvent{
			ID: e.ID.String(), Type: string(e.Type), User: textOrNull(usernames[e.User]), Session: textOrNull(e.Session),
			OccurredAt: e.OccurredAt.UTC(), ReceivedAt: e.ReceivedAt.UTC(),
		}
		if e.Lesson != 0 {
			lesson := idText(e.Lesson)
			out.Lesson = &lesson
		}
		if e.Amount.Currency != "" {
			out.Amount = &e.Amount
		}
		if len(e.Properties) > 0 {
			out.Properties = e.Properties
		}
		return out
	}
}
