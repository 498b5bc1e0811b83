package bench

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// The people and courses of a filled database, whatever the number of its reviews.
const (
	learners = 20_000 // who have written the reviews
	writers  = 1_000  // who will write more
	reviewed = 5_000  // courses that have reviews
	flatten  = 20     // course k, from 0, has a share of the reviews as 1/(k+flatten)
)

// filled is a database with reviews.
type filled struct {
	engine
	slugs []string // of the courses, the most reviewed first
	adds  []add    // reviews that can be written, each once
}

// add is a review that its author, who has a seat, has not written yet.
type add struct {
	slug  string
	user  core.UserID
	token string
}

// anyPassword takes every password for right at once.
type anyPassword struct{}

func (anyPassword) Hash(context.Context, core.Secret) (string, error) { return "any", nil }

func (anyPassword) Verify(context.Context, string, core.Secret) (ok, outdated bool, err error) {
	return true, false, nil
}

// fill gives a database with the catalogue n reviews, written in an order in which those
// of a course are apart, by people who have seats; and seats for adds more.
func fill(b *testing.B, e engine, n, adds int) *filled {
	b.Helper()
	f := &filled{engine: e}
	if e.name == "sqlite" { // of the one connection that writes, while it fills
		exec(b, e, "PRAGMA cache_size(-1000000)")
		exec(b, e, "PRAGMA synchronous(OFF)")
	}
	ids := f.courses(b)
	r := rand.New(rand.NewPCG(1, 2)) // the same data in each run
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

	bulk(b, e, "ustat_users", "username, username_folded, email, email_folded, role, full_name, bio, password_hash, active, created_at, updated_at", learners+writers, func(i int) []any {
		name := fmt.Sprintf("learner-%d", i)
		return []any{name, name, name + "@example.org", name + "@example.org", "student", fmt.Sprintf("Learner %d", i), "", "any", true, start, start}
	})
	var first int64
	require.NoError(b, e.writer.QueryRow("SELECT min(id) FROM ustat_users WHERE username_folded IN ('learner-0', 'learner-1')").Scan(&first))
	exec(b, e, fmt.Sprintf("INSERT INTO ustat_profiles (user_id, slug) SELECT id, username FROM ustat_users WHERE id >= %d", first))

	type pair struct{ course, user int }
	var pairs []pair
	for k, count := range shares(n) {
		for i := range count {
			pairs = append(pairs, pair{k, (k*7919 + i) % learners})
		}
	}
	r.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	gap := 365 * 24 * time.Hour / time.Duration(len(pairs))
	text := strings.Repeat("A course that was worth the time that it took. ", 4)
	restore := withoutIndexes(b, e, "ustat_reviews")
	bulk(b, e, "ustat_reviews", "course_id, user_id, rating, text, status, reason, trust, helpful, reply_text, reply_by, created_at, updated_at", len(pairs), func(i int) []any {
		at := start.Add(time.Duration(i) * gap).Truncate(time.Microsecond)
		return []any{ids[pairs[i].course], first + int64(pairs[i].user), 5 - min(r.IntN(8), r.IntN(8))%5, fmt.Sprintf("%s%d", text, i), "published", "", r.IntN(101), r.IntN(20), "", int64(0), at, at}
	})
	restore()

	restore = withoutIndexes(b, e, "ustat_enrollments")
	exec(b, e, "INSERT INTO ustat_enrollments (course_id, user_id, status, source, paid_minor, paid_currency, enrolled_at)"+
		" SELECT course_id, user_id, 'active', 'grant', 0, '', created_at FROM ustat_reviews ORDER BY id")
	stride := reviewed / ((adds + writers - 1) / writers) // each of a writer's courses is in a part of its own
	bulk(b, e, "ustat_enrollments", "course_id, user_id, status, source, paid_minor, paid_currency, enrolled_at", adds, func(i int) []any {
		k, user := i/writers*stride+r.IntN(stride), first+int64(learners+i%writers)
		f.adds = append(f.adds, add{slug: f.slugs[k], user: core.UserID(user)})
		return []any{ids[k], user, "active", "grant", int64(0), "", start}
	})
	restore()
	exec(b, e, "INSERT INTO ustat_review_stats (course_id, review_count, rating_sum, ones, twos, threes, fours, fives, version)"+
		" SELECT course_id, count(*), sum(rating), count(*) FILTER (WHERE rating = 1), count(*) FILTER (WHERE rating = 2), count(*) FILTER (WHERE rating = 3),"+
		" count(*) FILTER (WHERE rating = 4), count(*) FILTER (WHERE rating = 5), 1 FROM ustat_reviews GROUP BY course_id")
	exec(b, e, fmt.Sprintf("UPDATE ustat_course_stats SET review_count = s.review_count, rating_sum = s.rating_sum, rating_version = 1,"+
		" rating_rank = (s.rating_sum + %d) * 1000000 / (s.review_count + %d) FROM ustat_review_stats AS s WHERE s.course_id = ustat_course_stats.course_id",
		courses.PriorCount*courses.PriorRating, courses.PriorCount))
	exec(b, e, "UPDATE ustat_course_stats SET students = e.n FROM (SELECT course_id, count(*) AS n FROM ustat_enrollments GROUP BY course_id) AS e WHERE e.course_id = ustat_course_stats.course_id")
	exec(b, e, "UPDATE ustat_course_stats SET trend = 1000000 + students * 1000 + course_id * 7919 % 1000 WHERE review_count > 0") // in an order of its own
	if e.name == "postgres" {
		exec(b, e, "VACUUM ANALYZE")
		exec(b, e, "CHECKPOINT")
	} else {
		exec(b, e, "PRAGMA wal_checkpoint(TRUNCATE)")
		exec(b, e, "PRAGMA cache_size(-8000)")
		exec(b, e, "PRAGMA synchronous(FULL)")
	}
	r.Shuffle(len(f.adds), func(i, j int) { f.adds[i], f.adds[j] = f.adds[j], f.adds[i] })
	return f
}

// courses fills the slugs and returns the ids of the courses that get reviews.
func (f *filled) courses(b *testing.B) (ids []int64) {
	rows, err := f.writer.Query(fmt.Sprintf("SELECT id, slug FROM ustat_courses WHERE status = 'published' AND capacity = 0 ORDER BY id LIMIT %d", reviewed))
	require.NoError(b, err)
	defer rows.Close()
	for rows.Next() {
		var id int64
		var slug string
		require.NoError(b, rows.Scan(&id, &slug))
		ids, f.slugs = append(ids, id), append(f.slugs, slug)
	}
	require.NoError(b, rows.Err())
	require.Len(b, ids, reviewed)
	return ids
}

// shares returns how many of n reviews each course has: at least one.
func shares(n int) []int {
	sum := 0.0
	for k := range reviewed {
		sum += 1 / float64(k+flatten)
	}
	out := make([]int, reviewed)
	for k := range out {
		out[k] = max(1, min(learners, int(float64(n)/sum/float64(k+flatten))))
	}
	return out
}

// signIn signs in who will write reviews.
func (f *filled) signIn(b *testing.B) {
	b.Helper()
	tokens := map[core.UserID]string{}
	for i := range f.adds {
		a := &f.adds[i]
		if tokens[a.user] == "" {
			var name string
			require.NoError(b, f.writer.QueryRow("SELECT username FROM ustat_users WHERE id = "+fmt.Sprint(a.user)).Scan(&name))
			network := fmt.Sprintf("10.%d.%d.1", len(tokens)/256, len(tokens)%256)
			got, err := f.platform.Accounts.Login(b.Context(), accounts.Credentials{Login: name, Password: "any password at all"}, accounts.Client{Network: network})
			require.NoError(b, err)
			tokens[a.user] = string(got.Access)
		}
		a.token = tokens[a.user]
	}
}

func exec(b *testing.B, e engine, query string) {
	b.Helper()
	_, err := e.writer.Exec(query)
	require.NoError(b, err, query)
}

// withoutIndexes drops the indexes of a table that no constraint needs, and returns what
// makes them again: that is faster than to keep them while it is filled.
func withoutIndexes(b *testing.B, e engine, table string) (restore func()) {
	b.Helper()
	query := "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = '" + table + "'"
	if e.name == "postgres" {
		query = "SELECT indexname, indexdef FROM pg_indexes WHERE indexdef NOT LIKE '% UNIQUE %' AND tablename = '" + table + "'"
	}
	rows, err := e.writer.Query(query)
	require.NoError(b, err)
	defer rows.Close()
	indexes := map[string]string{}
	for rows.Next() {
		var name, definition string
		require.NoError(b, rows.Scan(&name, &definition))
		indexes[name] = definition
	}
	require.NoError(b, rows.Err())
	require.NotEmpty(b, indexes, table)
	require.NoError(b, rows.Close())
	for name := range indexes {
		exec(b, e, "DROP INDEX "+name)
	}
	return func() {
		for _, definition := range indexes {
			exec(b, e, definition)
		}
	}
}

// bulk adds n rows to a table: by COPY on PostgreSQL, by statements of many rows in one
// transaction on SQLite.
func bulk(b *testing.B, e engine, table, columns string, n int, row func(i int) []any) {
	b.Helper()
	names := strings.Split(columns, ", ")
	conn, err := e.writer.Conn(b.Context())
	require.NoError(b, err)
	defer conn.Close()
	if e.name == "postgres" {
		require.NoError(b, conn.Raw(func(driver any) error {
			_, err := driver.(*stdlib.Conn).Conn().CopyFrom(b.Context(), pgx.Identifier{table}, names, pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil }))
			return err
		}))
		return
	}
	tx, err := conn.BeginTx(b.Context(), nil)
	require.NoError(b, err)
	defer tx.Rollback() //nolint:errcheck // nothing is left to undo after Commit
	one := "(" + strings.Repeat("?, ", len(names)-1) + "?)"
	const block = 200
	var whole *sql.Stmt
	for i := 0; i < n; i += block {
		rows := min(block, n-i)
		var args []any
		for j := range rows {
			args = append(args, row(i+j)...)
		}
		query := "INSERT INTO " + table + " (" + columns + ") VALUES " + strings.Repeat(one+", ", rows-1) + one
		if rows < block {
			_, err = tx.Exec(query, args...)
		} else {
			if whole == nil {
				whole, err = tx.Prepare(query)
				require.NoError(b, err)
			}
			_, err = whole.Exec(args...)
		}
		require.NoError(b, err)
	}
	require.NoError(b, tx.Commit())
}

// scaled is a number at full scale (USTAT_TEST_SCALE=10) made as much smaller as this
// run is: a thousandth of it without one.
func scaled(b *testing.B, full int) int {
	b.Helper()
	scale, err := strconv.ParseFloat(cmp.Or(os.Getenv("USTAT_TEST_SCALE"), "0.01"), 64)
	require.NoError(b, err, "USTAT_TEST_SCALE")
	return max(1, int(float64(full)*scale/10))
}
