package transfer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/transfer"
	"github.com/ustat/ustat/ustattest"
)

const reviewsHeader = "course,user,rating,text,created_at,status\n"

// reviewOf returns the review of a user on a course.
func reviewOf(t testing.TB, b *storage.Backend, course, user string) reviews.Review {
	t.Helper()
	c, err := b.Courses.CourseBySlug(t.Context(), course)
	require.NoError(t, err)
	u, err := b.Accounts.UserByUsername(t.Context(), user)
	require.NoError(t, err)
	r, err := b.Reviews.ReviewOf(t.Context(), c.ID, u.ID)
	require.NoError(t, err)
	return r
}

func rated(t testing.TB, b *storage.Backend, course string) [2]int64 {
	t.Helper()
	c, err := b.Courses.CourseBySlug(t.Context(), course)
	require.NoError(t, err)
	return [2]int64{c.Stats.ReviewCount, c.Stats.RatingSum}
}

func TestReviewsComeInWithTheirDefaultsAndAreUpdatedWhereACellDiffers(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open func(testing.TB) *storage.Backend) {
		b := open(t)
		importAll(t, b, good())
		short := "course,user,rating,text,created_at\ngo,bob,5, Clear. ,2024-05-01T00:00:00Z\ngo,ANN,4,,2024-05-02T00:00:00Z\n"
		report, refused, _ := importAll(t, b, map[string]string{"reviews.csv": short})
		require.Empty(t, refused, "nobody is enrolled, and ann teaches it")
		require.Equal(t, transfer.Counts{Inserted: 2}, report.Total())
		r := reviewOf(t, b, "go", "bob")
		require.Equal(t, reviews.Review{
			ID: r.ID, Course: r.Course, User: r.User, Rating: 5, Text: "Clear.", Status: reviews.Published,
			CreatedAt: at("2024-05-01T00:00:00Z"), UpdatedAt: at("2024-05-01T00:00:00Z"), Version: 1,
		}, r)
		require.Equal(t, [2]int64{2, 9}, rated(t, b, "go"))
		report, _, _ = importAll(t, b, map[string]string{"reviews.csv": short})
		require.Equal(t, transfer.Counts{Unchanged: 2}, report.Total())
		require.Equal(t, []string{"reviews.rated", "transfer.imported"}, typesOf(t, b), "nothing a row, and nothing of a file that changed nothing")

		for _, step := range []struct {
			row   string
			want  transfer.Counts
			rated [2]int64
		}{
			{"go,bob,2,Clear.,,", transfer.Counts{Updated: 1}, [2]int64{2, 6}},
			{"go,bob,2,Clear.,,", transfer.Counts{Unchanged: 1}, [2]int64{2, 6}},
			{"go,bob,2,Clear.,,hidden", transfer.Counts{Updated: 1}, [2]int64{1, 4}},
			{"go,bob,3,Less so.,2024-06-01T00:00:00Z,", transfer.Counts{Updated: 1}, [2]int64{1, 4}},
			{"go,bob,3,Less so.,,published", transfer.Counts{Updated: 1}, [2]int64{2, 7}},
		} {
			report, refused, _ := importAll(t, b, map[string]string{"reviews.csv": reviewsHeader + step.row + "\n"})
			require.Empty(t, refused, step.row)
			require.Equal(t, step.want, report.Total(), step.row)
			require.Equal(t, step.rated, rated(t, b, "go"), step.row)
		}
		r = reviewOf(t, b, "go", "bob")
		require.Equal(t, []any{at("2024-06-01T00:00:00Z"), int64(5)}, []any{r.CreatedAt, r.Version})
		history, err := b.Reviews.History(t.Context(), r.ID, 0, 10)
		require.NoError(t, err)
		require.Len(t, history, 4)
		require.Equal(t, []any{5, "Clear.", reviews.Published}, []any{history[3].Rating, history[3].Text, history[3].Status}, "what was said first")
		require.NoError(t, ustattest.CheckInvariants(t.Context(), b))
	})
}

// typesOf returns the types of the events that the store of reviews has left.
func typesOf(t testing.TB, b *storage.Backend) []string {
	t.Helper()
	pending, err := b.Reviews.Pending(t.Context(), 100)
	require.NoError(t, err)
	var types []string
	for _, e := range pending {
		types = append(types, e.Type)
		if e.Type == transfer.EventImported {
			var done transfer.Imported
			require.NoError(t, json.Unmarshal(e.Payload, &done))
			require.Equal(t, "reviews.csv", done.File)
		}
	}
	return types
}

func TestBadRowsOfReviewsAreRefusedAndStopNothing(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open func(testing.TB) *storage.Backend) {
		b := open(t)
		files := good()
		files["reviews.csv"] = reviewsHeader +
			"nothing,bob,1,,2024-05-01T00:00:00Z,\n" +
			"go,nobody,1,,2024-05-01T00:00:00Z,\n" +
			"go,ann,0,,2024-05-01T00:00:00Z,\n" +
			"go,ann,6,,2024-05-01T00:00:00Z,\n" +
			"go,ann,4.5,,2024-05-01T00:00:00Z,\n" +
			"go,ann,5,,yesterday,\n" +
			"go,ann,5,,2024-05-01T00:00:00Z,shown\n" +
			"go,ann,5," + strings.Repeat("é", reviews.MaxText+1) + ",2024-05-01T00:00:00Z,\n" +
			"go,ann,5," + strings.Repeat("é", reviews.MaxText) + ",2024-05-01T00:00:00Z,\n" +
			"go,Ann,4,,2024-05-01T00:00:00Z,\n" +
			"sql,ann,4,,,\n"
		report, refused, _ := importAll(t, b, files)
		require.Equal(t, []string{
			`reviews.csv:2:course: there is no course "nothing"`,
			`reviews.csv:3:user: there is no user "nobody"`,
			`reviews.csv:4:rating: "0" is less than 1`,
			`reviews.csv:5:rating: 6 is more than 5`,
			`reviews.csv:6:rating: "4.5" is no whole number`,
			`reviews.csv:7:created_at: "yesterday" is no time of RFC 3339, such as 2024-02-29T08:15:00Z`,
			`reviews.csv:8:status: "shown" is none of [pending published hidden rejected]`,
			`reviews.csv:9:text: longer than 10000 characters`,
			`reviews.csv:11:user: an earlier row of this file has the same`,
		}, refused)
		require.Equal(t, transfer.Counts{Inserted: 12 + 2, Refused: 9}, report.Total())
		require.Equal(t, [2]int64{1, 5}, rated(t, b, "go"))
		require.NoError(t, ustattest.CheckInvariants(t.Context(), b))
	})
}

// racedReviews is a store whose first Update comes after somebody else's.
type racedReviews struct {
	reviews.Store
	before func()
}

func (r *racedReviews) Update(ctx context.Context, fn func(ctx context.Context, tx reviews.Tx) error) error {
	if before := r.before; before != nil {
		r.before = nil
		before()
	}
	return r.Store.Update(ctx, fn)
}

func TestAReviewThatMeetsAnotherWriterIsPlannedAgain(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open func(testing.TB) *storage.Backend) {
		b := open(t)
		files := good()
		files["reviews.csv"] = reviewsHeader + "go,bob,5,First,2024-05-01T00:00:00Z,\n"
		importAll(t, b, files)
		was := reviewOf(t, b, "go", "bob")
		ann, err := b.Accounts.UserByUsername(t.Context(), "ann")
		require.NoError(t, err)
		copied := *b
		copied.Reviews = &racedReviews{Store: b.Reviews, before: func() {
			require.NoError(t, b.Reviews.Update(t.Context(), func(ctx context.Context, tx reviews.Tx) error {
				other := reviews.Review{Course: was.Course, User: ann.ID, Rating: 1, Status: reviews.Published, CreatedAt: was.CreatedAt, UpdatedAt: was.CreatedAt}
				if _, err := tx.InsertReviews(ctx, other); err != nil {
					return err
				}
				changed := was
				changed.Text = "Second"
				if err := tx.UpdateReview(ctx, changed); err != nil {
					return err
				}
				_, err := tx.RecountStats(ctx, []courses.CourseID{was.Course})
				return err
			}))
		}}
		report, refused, _ := importAll(t, &copied, map[string]string{"reviews.csv": reviewsHeader + "go,bob,4,Third,,\ngo,ann,2,Mine,,\n"})
		require.Empty(t, refused)
		require.Equal(t, transfer.Counts{Updated: 2}, report.Total())
		history, err := b.Reviews.History(t.Context(), was.ID, 0, 10)
		require.NoError(t, err)
		require.Equal(t, "Second", history[0].Text, "what was really there before")
		require.Equal(t, [2]int64{2, 6}, rated(t, b, "go"))
		require.NoError(t, ustattest.CheckInvariants(t.Context(), b))
	})
}

func TestReviewsOfManyBatchesAreCountedAsTheFileHasThemAndComeOutAgain(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open func(testing.TB) *storage.Backend) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 1))
		b := open(t)
		files := good()
		var users, shelf, rows strings.Builder
		users.WriteString(files["users.csv"])
		shelf.WriteString(files["courses.csv"])
		rows.WriteString(reviewsHeader)
		const people, items = 60, 45
		for i := range people {
			fmt.Fprintf(&users, "reader-%d,reader-%[1]d@example.org,student,,,\n", i)
		}
		want := map[string][2]int64{}
		total := 0
		for i := range items {
			slug := fmt.Sprintf("c-%d", i*7919%items)
			fmt.Fprintf(&shelf, "%s,C,,en,web,ann,0,USD,draft,,2024-01-02T03:04:05Z\n", slug)
			for p := range people {
				if i == 3 || r.IntN(8) == 0 {
					continue
				}
				rating, status := 1+r.IntN(5), reviews.Statuses[max(0, r.IntN(6)-2)]
				fmt.Fprintf(&rows, "%s,reader-%d,%d,Text %d,2024-05-0%dT00:00:00Z,%s\n", slug, p, rating, p, 1+r.IntN(9), status)
				total++
				if n := want[slug]; status == reviews.Published {
					want[slug] = [2]int64{n[0] + 1, n[1] + int64(rating)}
				}
			}
		}
		files["users.csv"], files["courses.csv"], files["reviews.csv"] = users.String(), shelf.String(), rows.String()
		report, refused, _ := importAll(t, b, files)
		require.Empty(t, refused)
		require.Equal(t, total, report.Files[len(report.Files)-1].Inserted)
		for i := range items {
			slug := fmt.Sprintf("c-%d", i)
			require.Equal(t, want[slug], rated(t, b, slug), slug)
		}
		require.Len(t, rowsOf(t, exported(t, b), "reviews.csv"), total+1)
		outAndIn(t, b, open(t))
	})
}
