package reviews_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
)

func TestTheStatusMachineOfModeration(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		allowed := map[reviews.Status]map[reviews.Action]reviews.Status{
			reviews.Pending:   {reviews.Approve: reviews.Published, reviews.Hide: reviews.Hidden, reviews.Reject: reviews.Rejected},
			reviews.Published: {reviews.Hide: reviews.Hidden},
			reviews.Hidden:    {reviews.Approve: reviews.Published},
			reviews.Rejected:  {reviews.Approve: reviews.Published},
		}
		// to brings a new review to a status.
		to := map[reviews.Status][]reviews.Action{
			reviews.Pending: {}, reviews.Published: {reviews.Approve}, reviews.Hidden: {reviews.Hide}, reviews.Rejected: {reviews.Reject},
		}
		var want [5]int64
		for _, from := range reviews.Statuses {
			for _, action := range []reviews.Action{reviews.Approve, reviews.Hide, reviews.Reject} {
				sam := w.students(t, 1, c)[0]
				r, err := w.Create(t.Context(), sam, "a", reviews.New{Rating: 3, Text: "http://a http://b http://c"})
				require.NoError(t, err)
				require.Equal(t, []any{reviews.Pending, reviews.HeldLinks}, []any{r.Status, r.Reason})
				for _, step := range to[from] {
					r, err = w.Moderate(t.Context(), w.admin, r.ID, reviews.Decision{Action: step, Reason: "why"})
					require.NoError(t, err)
				}
				require.Equal(t, from, r.Status)
				if from == reviews.Published {
					want[2]++
				}
				next, ok := allowed[from][action]
				now, err := w.Moderate(t.Context(), w.admin, r.ID, reviews.Decision{Action: action, Reason: "because", IfVersion: r.Version})
				if !ok {
					require.ErrorIs(t, err, reviews.ErrTransition, "%s of %s", action, from)
					w.numbers(t, "a", want)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, next, now.Status)
				require.Equal(t, r.Version+1, now.Version)
				if next == reviews.Published {
					want[2]++
					require.Empty(t, now.Reason)
				} else {
					require.Equal(t, "because", now.Reason)
				}
				if from == reviews.Published {
					want[2]--
				}
				w.numbers(t, "a", want)
				own, err := w.Review(t.Context(), sam, r.ID)
				require.NoError(t, err)
				require.Equal(t, now.Reason, own.Reason, "its author reads why")
			}
		}
	})
}

func TestOnlyAdminsModerate(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		people := w.students(t, 2, c)
		r := w.add(t, people[0], "a", 5)
		for by, want := range map[core.Actor]error{w.nobody: core.ErrUnauthenticated, people[0]: core.ErrForbidden, w.ann: core.ErrForbidden, w.pam: core.ErrForbidden} {
			_, err := w.Moderate(t.Context(), by, r.ID, reviews.Decision{Action: reviews.Hide, Reason: "x"})
			require.ErrorIs(t, err, want)
			_, err = w.Queue(t.Context(), by, core.Page{})
			require.ErrorIs(t, err, want)
			_, err = w.All(t.Context(), by, reviews.Choice{}, core.Page{})
			require.ErrorIs(t, err, want)
			_, err = w.History(t.Context(), by, r.ID, core.Page{})
			require.ErrorIs(t, err, want)
			_, err = w.Reports(t.Context(), by, r.ID, core.Page{})
			require.ErrorIs(t, err, want)
			require.ErrorIs(t, w.EraseUser(t.Context(), by, people[1].UserID), want)
		}
		_, err := w.Moderate(t.Context(), w.admin, r.ID, reviews.Decision{Action: reviews.Hide})
		require.Equal(t, []string{"reason:required_unless"}, codes(t, err))
		_, err = w.Moderate(t.Context(), w.admin, r.ID, reviews.Decision{Action: reviews.Edit, Reason: "x"})
		require.Equal(t, []string{"action:oneof"}, codes(t, err))
		_, err = w.Moderate(t.Context(), w.admin, r.ID+99, reviews.Decision{Action: reviews.Hide, Reason: "x"})
		require.ErrorIs(t, err, reviews.ErrReviewNotFound)
	})
}

func TestBeforePublicationAdminsDecide(t *testing.T) {
	onBoth(t, reviews.Options{PreModerate: true}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		var list []reviews.Review
		for _, sam := range w.students(t, 3, c) {
			w.clock.advance(time.Second)
			list = append(list, w.add(t, sam, "a", 4))
		}
		w.numbers(t, "a", [5]int64{})
		queue, err := w.Queue(t.Context(), w.admin, core.Page{Limit: 2})
		require.NoError(t, err)
		rest, err := w.Queue(t.Context(), w.admin, core.Page{Limit: 2, Cursor: queue.Next})
		require.NoError(t, err)
		for i, r := range append(queue.Items, rest.Items...) {
			require.Equal(t, list[i].ID, r.ID, "the oldest first")
			require.Equal(t, reviews.HeldPolicy, r.Reason)
			require.Equal(t, "a", r.Slug)
		}
		_, err = w.Moderate(t.Context(), w.admin, list[0].ID, reviews.Decision{Action: reviews.Approve})
		require.NoError(t, err)
		w.numbers(t, "a", [5]int64{3: 1})
		_, err = w.Edit(t.Context(), core.Actor{UserID: list[0].User, Role: core.Student}, list[0].ID, reviews.Change{Rating: ptr(5)})
		require.NoError(t, err)
		w.numbers(t, "a", [5]int64{})
	})
}

func TestNoEditPublishesWhatWasTakenAway(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		sam := w.students(t, 1, c)[0]
		r := w.add(t, sam, "a", 5)
		_, err := w.Moderate(t.Context(), w.admin, r.ID, reviews.Decision{Action: reviews.Hide, Reason: "rude"})
		require.NoError(t, err)
		now, err := w.Edit(t.Context(), sam, r.ID, reviews.Change{Text: ptr("I am sorry.")})
		require.NoError(t, err)
		require.Equal(t, []any{reviews.Pending, reviews.HeldEdited}, []any{now.Status, now.Reason})
		w.numbers(t, "a", [5]int64{})
		now, err = w.Edit(t.Context(), sam, r.ID, reviews.Change{Text: ptr("Sorry.")})
		require.NoError(t, err)
		require.Equal(t, []any{reviews.Pending, reviews.HeldEdited}, []any{now.Status, now.Reason})
	})
}

func TestReportsOfAbuseMakeAReviewWait(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		c := w.course(t, "a", courses.Published)
		people := w.students(t, 9, c)
		r := w.add(t, people[0], "a", 5)
		report := func(by core.Actor) error {
			return w.Report(t.Context(), by, r.ID, reviews.NewReport{Reason: reviews.Fake, Note: " No. "})
		}
		require.ErrorIs(t, report(people[0]), reviews.ErrOwnReview)
		require.ErrorIs(t, report(w.nobody), core.ErrUnauthenticated)
		err := w.Report(t.Context(), people[1], r.ID, reviews.NewReport{Reason: "ugly"})
		require.Equal(t, []string{"reason:oneof"}, codes(t, err))
		for range 5 {
			require.NoError(t, report(people[1]), "counted once")
		}
		require.NoError(t, report(people[2]))
		w.numbers(t, "a", [5]int64{4: 1})
		w.events(t)
		require.NoError(t, report(people[3]))
		w.numbers(t, "a", [5]int64{})
		require.Equal(t, []string{reviews.EventRated, reviews.EventReported}, w.events(t))
		require.ErrorIs(t, report(people[4]), reviews.ErrReviewNotFound, "it is shown no longer")
		queue, err := w.Queue(t.Context(), w.admin, core.Page{})
		require.NoError(t, err)
		require.Len(t, queue.Items, 1)
		require.Equal(t, []any{3, reviews.HeldReported}, []any{queue.Items[0].Reports, queue.Items[0].Reason})
		reports, err := w.Reports(t.Context(), w.admin, r.ID, core.Page{})
		require.NoError(t, err)
		require.Len(t, reports.Items, 3)
		require.Equal(t, []any{reviews.Fake, "No.", people[1].UserID, false}, []any{reports.Items[0].Reason, reports.Items[0].Note, reports.Items[0].By.ID, reports.Items[0].Handled})

		_, err = w.Moderate(t.Context(), w.admin, r.ID, reviews.Decision{Action: reviews.Approve})
		require.NoError(t, err)
		for _, by := range people[1:4] {
			require.NoError(t, report(by))
		}
		w.numbers(t, "a", [5]int64{4: 1})
		for _, by := range people[4:7] {
			require.NoError(t, report(by))
		}
		w.numbers(t, "a", [5]int64{})
		seen, err := w.Review(t.Context(), people[0], r.ID)
		require.NoError(t, err)
		require.Zero(t, seen.Reports, "who is reported does not learn how often")
	})
}

func TestTheFilterHoldsLinksRepeatsBurstsAndWords(t *testing.T) {
	t.Parallel()
	at := begin
	old := func(text string, before time.Duration) reviews.Review {
		return reviews.Review{ID: 9, Text: text, CreatedAt: at.Add(-before), UpdatedAt: at.Add(-before)}
	}
	const long = "The very best course that I have taken"
	for name, c := range map[string]struct {
		filter reviews.Filter
		draft  reviews.Draft
		held   string
	}{
		"a plain text":               {draft: reviews.Draft{Text: long}},
		"nothing":                    {},
		"two links":                  {draft: reviews.Draft{Text: "https://www.a.org and www.b.org"}},
		"three links":                {draft: reviews.Draft{Text: "HTTPS://a.org www.b.org ftp://c.org"}, held: reviews.HeldLinks},
		"one link where none may be": {filter: reviews.Filter{MaxLinks: -1}, draft: reviews.Draft{Text: "www.b.org"}, held: reviews.HeldLinks},
		"the same said again":        {draft: reviews.Draft{Text: strings.ToUpper(long) + " \n", Recent: []reviews.Review{old(long, time.Hour)}}, held: reviews.HeldRepeated},
		"the same said long ago":     {draft: reviews.Draft{Text: long, Recent: []reviews.Review{old(long, 31*24*time.Hour)}}},
		"a short text said again":    {draft: reviews.Draft{Text: "Good", Recent: []reviews.Review{old("Good", time.Hour)}}},
		"five in an hour": {
			draft: reviews.Draft{Text: "x", Recent: []reviews.Review{old("", 1), old("", 2), old("", 3), old("", 4), old("", 59*time.Minute)}}, held: reviews.HeldBurst,
		},
		"an edit after five in an hour": {draft: reviews.Draft{Review: 1, Text: "x", Recent: []reviews.Review{old("", 1), old("", 2), old("", 3), old("", 4), old("", 5)}}},
		"five in more than an hour":     {draft: reviews.Draft{Text: "x", Recent: []reviews.Review{old("", 1), old("", 2), old("", 3), old("", 4), old("", time.Hour)}}},
		"a word":                        {filter: reviews.Filter{Words: []string{"ДУРАК"}}, draft: reviews.Draft{Text: "он — дурак!"}, held: reviews.HeldWord},
		"a word in another":             {filter: reviews.Filter{Words: []string{"ass"}}, draft: reviews.Draft{Text: "first class"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.draft.At = at
			got, err := c.filter.Check(t.Context(), c.draft)
			require.NoError(t, err)
			require.Equal(t, reviews.Verdict{Hold: c.held != "", Reason: c.held}, got)
		})
	}
}

func TestTrustIsWhatItsComment(t *testing.T) {
	t.Parallel()
	const d = 24 * time.Hour
	for _, c := range []struct {
		percent, burst, want int
		age                  time.Duration
	}{
		{0, 0, 20, 0},
		{100, 0, 100, 400 * d},
		{51, 1, 25 + 7 + 15, 7*d + 23*time.Hour},
		{100, 4, 50, 0},
		{100, 99, 80, 30 * d},
		{-5, 0, 20, -d},
		{500, 0, 70, 0},
	} {
		require.Equal(t, c.want, reviews.Trust(c.percent, c.age, c.burst), fmt.Sprint(c))
	}
}

func TestRecomputeAggregatesFindsAndRepairsWhatDiffers(t *testing.T) {
	onBoth(t, reviews.Options{}, func(t *testing.T, w *world) {
		var all []courses.Course
		for _, slug := range []string{"a", "b", "c"} {
			all = append(all, w.course(t, slug, courses.Published))
		}
		for _, by := range w.students(t, 2, all...) {
			for _, c := range all {
				w.add(t, by, c.Slug, 4)
			}
		}
		none, err := w.RecomputeAggregates(t.Context(), w.admin, true)
		require.NoError(t, err)
		require.Empty(t, none)
		wrong := reviews.Stats{Course: all[1].ID, Count: 1, Sum: 5, Histogram: [5]int64{4: 1}, Version: 7}
		right := reviews.Stats{Course: all[1].ID, Count: 2, Sum: 8, Histogram: [5]int64{3: 2}, Version: 7}
		require.NoError(t, w.backend.Reviews.Update(t.Context(), func(ctx context.Context, tx reviews.Tx) error {
			if _, err := tx.StatsForUpdate(ctx, wrong.Course); err != nil {
				return err
			}
			return tx.UpdateStats(ctx, wrong, courses.Heat{})
		}))
		for _, repair := range []bool{false, true} {
			require.Error(t, w.backend.Verify(t.Context()))
			found, err := w.RecomputeAggregates(t.Context(), w.admin, repair)
			require.NoError(t, err)
			require.Equal(t, []reviews.Difference{{Course: wrong.Course, Stored: wrong, Counted: right}}, found)
		}
		require.EqualValues(t, 8, w.numbers(t, "b", right.Histogram).Version)
		none, err = w.RecomputeAggregates(t.Context(), w.admin, true)
		require.NoError(t, err)
		require.Empty(t, none)

		// Listed with others than it has.
		listed := courses.ReviewNumbers{Count: 9, Sum: 9, Version: 8}
		require.NoError(t, w.backend.Atomic(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.Exec(fmt.Sprintf("UPDATE ustat_course_stats SET review_count = 9, rating_sum = 9 WHERE course_id = %d", wrong.Course))
			return err
		}))
		right.Version = 8
		require.Equal(t, []courses.Rollup{{
			Course: wrong.Course, Counted: courses.Totals{Reviews: right.Count, RatingSum: right.Sum}, Listed: courses.Totals{Reviews: 9, RatingSum: 9},
		}}, w.wrongStats(t))
		for _, repair := range []bool{false, true} {
			require.Error(t, w.backend.Verify(t.Context()))
			found, err := w.RecomputeAggregates(t.Context(), w.admin, repair)
			require.NoError(t, err)
			require.Equal(t, []reviews.Difference{{Course: wrong.Course, Stored: right, Counted: right, Listed: &listed}}, found)
		}
		require.Empty(t, w.wrongStats(t))
		w.numbers(t, "b", right.Histogram)
		_, err = w.RecomputeAggregates(t.Context(), w.ann, true)
		require.ErrorIs(t, err, core.ErrForbidden)
	})
}

// wrongStats returns which courses are listed with other numbers than they have.
func (w *world) wrongStats(t testing.TB) []courses.Rollup {
	t.Helper()
	_, err := w.courses.WrongStats(t.Context(), w.ann)
	require.ErrorIs(t, err, core.ErrForbidden)
	require.NoError(t, w.courses.RefreshRollups(t.Context()))
	wrong, err := w.courses.WrongStats(t.Context(), w.admin)
	require.NoError(t, err)
	return wrong
}
