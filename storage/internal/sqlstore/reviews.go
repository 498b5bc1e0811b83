package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
)

const (
	reviewColumns = "id, course_id, user_id, rating, text, status, reason, trust, helpful, comments, reports," +
		" reply_text, reply_by, reply_at, created_at, updated_at, version"
	selectReviews = "SELECT " + reviewColumns + " FROM ustat_reviews WHERE "
)

func scanReview(rows *sql.Rows, r *reviews.Review) error {
	var replied sql.NullTime
	if err := rows.Scan(&r.ID, &r.Course, &r.User, &r.Rating, &r.Text, &r.Status, &r.Reason, &r.Trust, &r.Helpful, &r.Comments, &r.Reports,
		&r.Reply.Text, &r.Reply.By.ID, &replied, &r.CreatedAt, &r.UpdatedAt, &r.Version); err != nil {
		return err
	}
	r.Reply.At, r.CreatedAt, r.UpdatedAt = orZero(replied), r.CreatedAt.UTC(), r.UpdatedAt.UTC()
	return nil
}

// reviewsReader implements reviews.Reader over a pool or a Tx.
type reviewsReader struct{ session }

// one returns the only row of a query, or missing.
func one[T any](ctx context.Context, s session, missing error, query string, args []any, scan func(*sql.Rows, *T) error) (T, error) {
	var none T
	found, err := readAll(ctx, s, query, args, scan)
	if err != nil {
		return none, err
	}
	if len(found) == 0 {
		return none, missing
	}
	return found[0], nil
}

func (r reviewsReader) ReviewByID(ctx context.Context, id reviews.ReviewID) (reviews.Review, error) {
	return one(ctx, r.session, reviews.ErrReviewNotFound, selectReviews+"id = ?", []any{id}, scanReview)
}

func (r reviewsReader) ReviewOf(ctx context.Context, course courses.CourseID, user core.UserID) (reviews.Review, error) {
	return one(ctx, r.session, reviews.ErrReviewNotFound, selectReviews+"course_id = ? AND user_id = ?", []any{course, user}, scanReview)
}

// reviewStatus maps a status to its constant in SQL: with it in the text PostgreSQL
// finds one plan that is good for every page.
var reviewStatus = map[reviews.Status]string{
	reviews.Pending: "'pending'", reviews.Published: "'published'", reviews.Hidden: "'hidden'", reviews.Rejected: "'rejected'",
}

var reviewKeys = map[reviews.Sort]string{reviews.Recent: "created_at", reviews.Helpful: "helpful", reviews.Rating: "rating"}

func (r reviewsReader) Reviews(ctx context.Context, q reviews.Query) ([]reviews.Review, error) {
	if q.Status != "" && reviewStatus[q.Status] == "" {
		return nil, nil
	}
	query, args := r.db.reviewsPage(q)
	return readAll(ctx, r.session, query, args, scanReview)
}

// reviewsPage returns the query of a page of reviews.
func (d *DB) reviewsPage(q reviews.Query) (query string, args []any) {
	var s statement
	key, ok := reviewKeys[q.Sort]
	if !ok {
		key, q.Sort = "created_at", reviews.Recent
	}
	if q.Course != 0 {
		s.and("course_id = ?", q.Course)
	}
	if q.User != 0 {
		s.and("user_id = ?", q.User)
	}
	if q.Status != "" {
		s.and("status = " + reviewStatus[q.Status])
	}
	than, direction := " < ", " DESC"
	if q.OldestFirst {
		than, direction = " > ", ""
	}
	if q.After != nil {
		var value any = q.After.Key
		if q.Sort == reviews.Recent {
			value = d.timeValue(time.UnixMicro(q.After.Key).UTC())
		}
		s.and("("+key+", id)"+than+"(?, ?)", value, q.After.ID)
	}
	if len(s.where) == 0 {
		s.and("1 = 1")
	}
	return selectReviews + strings.Join(s.where, " AND ") + " ORDER BY " + key + direction + ", id" + direction + " LIMIT ?", append(s.args, q.Limit)
}

func (r reviewsReader) ReviewsOf(ctx context.Context, pairs []reviews.Pair) ([]reviews.Review, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	table, args := pairTable(len(pairs), func(i int) (any, any) { return pairs[i].Course, pairs[i].User })
	return readAll(ctx, r.session, selectReviews+"(course_id, user_id) IN "+table, args, scanReview)
}

const selectReviewStats = "SELECT course_id, review_count, rating_sum, ones, twos, threes, fours, fives, version FROM ustat_review_stats WHERE "

func scanReviewStats(rows *sql.Rows, s *reviews.Stats) error {
	h := &s.Histogram
	return rows.Scan(&s.Course, &s.Count, &s.Sum, &h[0], &h[1], &h[2], &h[3], &h[4], &s.Version)
}

func (r reviewsReader) StatsOf(ctx context.Context, ids []courses.CourseID) ([]reviews.Stats, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "course_id", ids)
	return readAll(ctx, r.session, selectReviewStats+where, args, scanReviewStats)
}

// selectRated steps from course to course along an index of reviews, of which the numbers
// of a course must be made when its row is lost.
const selectRated = "WITH RECURSIVE step (id) AS (SELECT min(course_id) FROM ustat_reviews WHERE course_id > ?" +
	" UNION ALL SELECT (SELECT min(r.course_id) FROM ustat_reviews AS r WHERE r.course_id > step.id) FROM step WHERE step.id IS NOT NULL)" +
	" SELECT id FROM (SELECT id FROM (SELECT id FROM step WHERE id IS NOT NULL LIMIT ?) AS reviewed" +
	" UNION SELECT id FROM (SELECT course_id AS id FROM ustat_review_stats WHERE course_id > ? ORDER BY course_id LIMIT ?) AS numbered) AS rated ORDER BY id LIMIT ?"

func (r reviewsReader) RatedCourses(ctx context.Context, after courses.CourseID, limit int) ([]courses.CourseID, error) {
	return readAll(ctx, r.session, selectRated, []any{after, limit, after, limit, limit}, scanOne[courses.CourseID])
}

func (r reviewsReader) Voted(ctx context.Context, user core.UserID, ids []reviews.ReviewID) ([]reviews.ReviewID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "review_id", ids)
	return readAll(ctx, r.session, "SELECT review_id FROM ustat_review_votes WHERE user_id = ? AND "+where, append([]any{user}, args...), scanOne[reviews.ReviewID])
}

const selectComments = "SELECT id, review_id, user_id, text, created_at FROM ustat_review_comments WHERE "

func scanComment(rows *sql.Rows, c *reviews.Comment) error {
	err := rows.Scan(&c.ID, &c.Review, &c.User, &c.Text, &c.CreatedAt)
	c.CreatedAt = c.CreatedAt.UTC()
	return err
}

func (r reviewsReader) CommentByID(ctx context.Context, id reviews.CommentID) (reviews.Comment, error) {
	return one(ctx, r.session, reviews.ErrCommentNotFound, selectComments+"id = ?", []any{id}, scanComment)
}

func (r reviewsReader) Comments(ctx context.Context, review reviews.ReviewID, after reviews.CommentID, limit int) ([]reviews.Comment, error) {
	return readAll(ctx, r.session, selectComments+"review_id = ? AND id > ? ORDER BY id LIMIT ?", []any{review, after, limit}, scanComment)
}

func (r reviewsReader) Reports(ctx context.Context, review reviews.ReviewID, after core.UserID, limit int) ([]reviews.Report, error) {
	return readAll(ctx, r.session, "SELECT review_id, user_id, reason, note, created_at, handled FROM ustat_review_reports"+
		" WHERE review_id = ? AND user_id > ? ORDER BY user_id LIMIT ?", []any{review, after, limit},
		func(rows *sql.Rows, p *reviews.Report) error {
			err := rows.Scan(&p.Review, &p.User, &p.Reason, &p.Note, &p.At, &p.Handled)
			p.At = p.At.UTC()
			return err
		})
}

const selectRevisions = "SELECT id, review_id, course_id, user_id, action, rating, text, status, reason, actor_id, created_at FROM ustat_review_history WHERE "

func scanRevision(rows *sql.Rows, v *reviews.Revision) error {
	err := rows.Scan(&v.ID, &v.Review, &v.Course, &v.User, &v.Action, &v.Rating, &v.Text, &v.Status, &v.Reason, &v.By.ID, &v.At)
	v.At = v.At.UTC()
	return err
}

func (r reviewsReader) History(ctx context.Context, review reviews.ReviewID, before int64, limit int) ([]reviews.Revision, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	return readAll(ctx, r.session, selectRevisions+"review_id = ? AND id < ? ORDER BY id DESC LIMIT ?", []any{review, before, limit}, scanRevision)
}

func (r reviewsReader) Deleted(ctx context.Context, user core.UserID, course courses.CourseID, limit int) ([]reviews.Revision, error) {
	where, args := "user_id = ? AND action = 'delete'", []any{user}
	if course != 0 {
		where, args = where+" AND course_id = ?", append(args, course)
	}
	return readAll(ctx, r.session, selectRevisions+where+" ORDER BY id DESC LIMIT ?", append(args, limit), scanRevision)
}

// reviewsStore implements reviews.Store.
type reviewsStore struct {
	reviewsReader
	outbox
	db *DB
}

func newReviews(d *DB) *reviewsStore {
	s := session{db: d}
	return &reviewsStore{reviewsReader{s}, outbox{s, "reviews"}, d}
}

// Update implements reviews.Store.
func (s *reviewsStore) Update(ctx context.Context, fn func(ctx context.Context, tx reviews.Tx) error) error {
	return s.db.update(ctx, "reviews", func(ctx context.Context, tx *Tx) error {
		return fn(ctx, reviewsTx{tx, reviewsReader{tx.session}})
	})
}

// Join implements core.Joiner.
func (s *reviewsStore) Join(tx *sql.Tx) (reviews.Store, error) { return newReviews(s.db.join(tx)), nil }

var _ core.Joiner[reviews.Store] = (*reviewsStore)(nil)
