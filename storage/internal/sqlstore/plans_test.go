package sqlstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage/internal/sqlstore"
)

// explain returns how the engine would run a query of constant text with ? parameters
// where there is much to read: PostgreSQL is kept from reading a whole table or sorting
// one when an index gives the order.
func (e engine) explain(t *testing.T, dsn, query string, args []any) string {
	t.Helper()
	conn, err := e.raw(t, dsn).Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	if e.sql == "sqlite" {
		query = "EXPLAIN QUERY PLAN " + query
	} else {
		for _, setting := range []string{"enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_incremental_sort"} {
			_, err := conn.ExecContext(t.Context(), "SET "+setting+" = off")
			require.NoError(t, err)
		}
		query = "EXPLAIN " + sqlstore.Numbered(query)
	}
	rows, err := conn.QueryContext(t.Context(), query, args...)
	require.NoError(t, err)
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var step, unused any
		if e.sql == "sqlite" {
			err = rows.Scan(&unused, &unused, &unused, &step)
		} else {
			err = rows.Scan(&step)
		}
		require.NoError(t, err)
		steps = append(steps, fmt.Sprint(step))
	}
	require.NoError(t, rows.Err())
	return strings.Join(steps, "\n")
}

// Every list of reviews that reviews.Query promises an index for reads it in its order,
// from where the page begins: no table is read whole and nothing is sorted.
func TestListsOfReviewsFollowTheirIndexes(t *testing.T) {
	t.Parallel()
	of := func(q reviews.Query, sorts ...reviews.Sort) (all []reviews.Query) {
		for _, sort := range sorts {
			q.Sort = sort
			all = append(all, q)
		}
		return all
	}
	lists := map[string][]reviews.Query{
		"ustat_reviews_recent":  of(reviews.Query{Course: 1, Status: reviews.Published}, reviews.Recent),
		"ustat_reviews_helpful": of(reviews.Query{Course: 1, Status: reviews.Published}, reviews.Helpful),
		"ustat_reviews_rating":  of(reviews.Query{Course: 1, Status: reviews.Published}, reviews.Rating),
		"ustat_reviews_user":    of(reviews.Query{User: 1}, reviews.Recent),
		"ustat_reviews_status":  append(of(reviews.Query{Status: reviews.Hidden}, reviews.Recent), reviews.Query{Status: reviews.Pending, OldestFirst: true}),
		"ustat_reviews_newest":  of(reviews.Query{}, reviews.Recent),
	}
	at := time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC).UnixMicro()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			dsn := e.fresh(t)
			migrate(t, dsn)
			backend, err := open(t.Context(), dsn)
			require.NoError(t, err)
			defer func() { require.NoError(t, backend.Close()) }()
			if e.sql == "pgx" { // which chooses by what there is
				for _, statement := range []string{
					"INSERT INTO ustat_reviews (course_id, user_id, rating, text, status, reason, trust, helpful, reply_text, reply_by, created_at, updated_at)" +
						" SELECT n % 50, n / 50, 1 + n % 5, '', CASE n % 200 WHEN 0 THEN 'hidden' WHEN 1 THEN 'pending' ELSE 'published' END, '', 0, n % 7, '', 0," +
						" timestamptz '2026-01-01' + n * interval '1 second', now() FROM generate_series(1, 10000) AS n",
					"ANALYZE ustat_reviews",
				} {
					_, err := e.raw(t, dsn).ExecContext(t.Context(), statement)
					require.NoError(t, err)
				}
			}
			for index, queries := range lists {
				for _, q := range queries {
					for _, after := range []*reviews.Position{nil, {Key: at, ID: 7}} {
						if after != nil && q.Sort != "" && q.Sort != reviews.Recent {
							after.Key = 3
						}
						q.After, q.Limit = after, 21
						text, args := sqlstore.ReviewsPage(backend, q)
						plan := e.explain(t, dsn, text, args)
						require.Contains(t, plan, index, "%s\n%s", text, plan)
						for _, step := range []string{"Sort", "Seq Scan", "TEMP B-TREE"} {
							require.NotContains(t, plan, step, "%s\n%s", text, plan)
						}
						if q.Status != "" || q.User != 0 || after != nil { // else it is read from its end
							require.Regexp(t, `Index Cond|SEARCH`, plan, "%s\n%s", text, plan)
						}
					}
				}
			}
		})
	}
}

// A page of the walk over enrollments within one course begins where the last one ended,
// however many there are: it reads its index in order, sorts nothing, and no table whole.
func TestTheWalkOverEnrollmentsFollowsItsIndex(t *testing.T) {
	t.Parallel()
	const many = 20_000 // of one course
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			dsn := e.fresh(t)
			migrate(t, dsn)
			backend, err := open(t.Context(), dsn)
			require.NoError(t, err)
			defer func() { require.NoError(t, backend.Close()) }()
			at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			require.NoError(t, backend.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) error {
				all := make([]courses.Course, 50)
				for i := range all {
					all[i] = courses.Course{Slug: fmt.Sprint("go-", i), Status: courses.Published, Price: core.Money{Currency: "RUB"}, CreatedAt: at, UpdatedAt: at}
				}
				made, err := tx.InsertCourses(ctx, all)
				if err != nil {
					return err
				}
				list := make([]courses.Enrollment, many)
				for i := range list {
					list[i] = courses.Enrollment{
						Course: made[0].ID, User: core.UserID(i + 1), Status: courses.Active, Source: courses.SourceFree,
						PricePaid: core.Money{Currency: "RUB"}, EnrolledAt: at.Add(time.Duration(i) * time.Second),
					}
				}
				_, err = tx.InsertEnrollments(ctx, list)
				return err
			}))
			_, err = e.raw(t, dsn).ExecContext(t.Context(), "ANALYZE")
			require.NoError(t, err)
			query, args := sqlstore.EnrollmentsWithin(backend, courses.EnrollmentPlace{Course: "go-0", At: at.Add(many / 2 * time.Second), ID: 7}, 100)
			plan := e.explain(t, dsn, query, args)
			require.Contains(t, plan, "ustat_enrollments_course ", plan)
			require.Regexp(t, `ROW\(enrolled_at, id\) > |course_id=\? AND \(?enrolled_at`, plan, "from where the page begins")
			for _, step := range []string{"Sort", "Seq Scan", "TEMP B-TREE", "SCAN c", "SCAN e"} {
				require.NotContains(t, plan, step, plan)
			}
		})
	}
}
