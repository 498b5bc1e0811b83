package sqlstore

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
)

// reviewsTx implements reviews.Tx.
type reviewsTx struct {
	*Tx
	reviewsReader
}

// StatsForUpdate implements reviews.Tx. The row is there from the first look on, so that
// there is something to lock.
func (t reviewsTx) StatsForUpdate(ctx context.Context, course courses.CourseID) (reviews.Stats, error) {
	locked := func() ([]reviews.Stats, error) {
		return readAll(ctx, t.Tx.session, selectReviewStats+"course_id = ?"+t.Tx.db.dialect.ForUpdate, []any{course}, scanReviewStats)
	}
	found, err := locked()
	if err == nil && len(found) == 0 {
		if _, err = t.Tx.rawExec(ctx, "INSERT INTO ustat_review_stats (course_id) VALUES (?) ON CONFLICT DO NOTHING", course); err == nil {
			found, err = locked()
		}
	}
	if err != nil {
		return reviews.Stats{}, err
	}
	return found[0], nil
}

func (t reviewsTx) UpdateStats(ctx context.Context, s reviews.Stats, heat courses.Heat) error {
	h := s.Histogram
	if _, err := t.Tx.rawExec(ctx, "UPDATE ustat_review_stats SET review_count = ?, rating_sum = ?, ones = ?, twos = ?, threes = ?, fours = ?, fives = ?, version = ?"+
		" WHERE course_id = ?", s.Count, s.Sum, h[0], h[1], h[2], h[3], h[4], s.Version, s.Course); err != nil {
		return err
	}
	return setRating(ctx, t.Tx, s.Course, courses.ReviewNumbers{Count: s.Count, Sum: s.Sum, Version: s.Version, Heat: heat})
}

func (t reviewsTx) CountRatings(ctx context.Context, course courses.CourseID) (reviews.Stats, error) {
	counted, err := t.counted(ctx, []courses.CourseID{course})
	if err != nil {
		return reviews.Stats{Course: course}, err
	}
	s := counted[course]
	stored, err := t.StatsOf(ctx, []courses.CourseID{course})
	if len(stored) > 0 {
		s.Version = stored[0].Version
	}
	return s, err
}

// counted counts the published ratings of courses. The versions are 0.
func (t reviewsTx) counted(ctx context.Context, ids []courses.CourseID) (map[courses.CourseID]reviews.Stats, error) {
	type bar struct {
		course courses.CourseID
		rating int
		count  int64
	}
	where, args := in(t.Tx.db, "course_id", ids)
	bars, err := readAll(ctx, t.Tx.session, "SELECT course_id, rating, count(*) FROM ustat_reviews WHERE "+where+" AND status = 'published' GROUP BY course_id, rating",
		args, func(rows *sql.Rows, b *bar) error { return rows.Scan(&b.course, &b.rating, &b.count) })
	all := make(map[courses.CourseID]reviews.Stats, len(ids))
	for _, id := range ids {
		all[id] = reviews.Stats{Course: id}
	}
	for _, b := range bars {
		s := all[b.course]
		s.Histogram[b.rating-reviews.MinRating] = b.count
		s.Count += b.count
		s.Sum += int64(b.rating) * b.count
		all[b.course] = s
	}
	return all, err
}

func (t reviewsTx) ReviewForUpdate(ctx context.Context, id reviews.ReviewID) (reviews.Review, error) {
	return one(ctx, t.Tx.session, reviews.ErrReviewNotFound, selectReviews+"id = ?"+t.Tx.db.dialect.ForUpdate, []any{id}, scanReview)
}

// reviewRow is what InsertReviews writes.
type reviewRow struct {
	bun.BaseModel `bun:"table:ustat_reviews"`
	CourseID      courses.CourseID `bun:"course_id"`
	UserID        core.UserID      `bun:"user_id"`
	Rating        int              `bun:"rating"`
	Text          string           `bun:"text"`
	Status        reviews.Status   `bun:"status"`
	Reason        string           `bun:"reason"`
	Trust         int              `bun:"trust"`
	ReplyText     string           `bun:"reply_text"`
	ReplyBy       core.UserID      `bun:"reply_by"`
	ReplyAt       any              `bun:"reply_at"`
	CreatedAt     time.Time        `bun:"created_at"`
	UpdatedAt     time.Time        `bun:"updated_at"`
}

func checkReview(r *reviews.Review) error {
	return checkText(1, func(int) []string { return []string{r.Text, r.Reason, r.Reply.Text} })
}

// pairRow is what InsertReviews reads back: an INSERT promises no order.
type pairRow struct {
	ID       reviews.ReviewID `bun:"id"`
	CourseID courses.CourseID `bun:"course_id"`
	UserID   core.UserID      `bun:"user_id"`
}

func (t reviewsTx) InsertReviews(ctx context.Context, list ...reviews.Review) ([]reviews.Review, error) {
	rows := make([]reviewRow, len(list))
	for i, r := range list {
		if err := checkReview(&r); err != nil {
			return nil, err
		}
		rows[i] = reviewRow{
			CourseID: r.Course, UserID: r.User, Rating: r.Rating, Text: r.Text, Status: r.Status, Reason: r.Reason, Trust: r.Trust,
			ReplyText: r.Reply.Text, ReplyBy: r.Reply.By.ID, ReplyAt: orNull(r.Reply.At), CreatedAt: core.Time(r.CreatedAt), UpdatedAt: core.Time(r.UpdatedAt),
		}
	}
	pairs, ok, err := insert[reviewRow, pairRow](ctx, t.Tx, "ustat_reviews", rows, "id, course_id, user_id")
	if err == nil && !ok {
		err = reviews.ErrReviewed
	}
	if err != nil {
		return nil, err
	}
	ids := make(map[reviews.Pair]reviews.ReviewID, len(pairs))
	for _, p := range pairs {
		ids[reviews.Pair{Course: p.CourseID, User: p.UserID}] = p.ID
	}
	out := make([]reviews.Review, len(list))
	for i, r := range list {
		r.ID, r.Version, r.Helpful, r.Comments, r.Reports = ids[reviews.Pair{Course: r.Course, User: r.User}], 1, 0, 0, 0
		r.CreatedAt, r.UpdatedAt, r.Reply.At = rows[i].CreatedAt, rows[i].UpdatedAt, core.Time(r.Reply.At)
		out[i] = r
	}
	return out, nil
}

func (t reviewsTx) UpdateReview(ctx context.Context, r reviews.Review) error {
	if err := checkReview(&r); err != nil {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_reviews SET rating = ?, text = ?, status = ?, reason = ?, trust = ?, reply_text = ?, reply_by = ?, reply_at = ?,"+
		" updated_at = ?, version = version + 1 WHERE id = ?",
		r.Rating, r.Text, r.Status, r.Reason, r.Trust, r.Reply.Text, r.Reply.By.ID, orNull(r.Reply.At), core.Time(r.UpdatedAt), r.ID)
	return orMissing(n, err, reviews.ErrReviewNotFound)
}

// orMissing returns err, or missing where no row was there.
func orMissing(n int64, err, missing error) error {
	if err == nil && n == 0 {
		return missing
	}
	return err
}

func (t reviewsTx) DeleteReview(ctx context.Context, id reviews.ReviewID) error {
	for _, below := range []string{"ustat_review_votes", "ustat_review_comments", "ustat_review_reports"} {
		if _, err := t.Tx.rawExec(ctx, "DELETE FROM "+below+" WHERE review_id = ?", id); err != nil {
			return err
		}
	}
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_reviews WHERE id = ?", id)
	return orMissing(n, err, reviews.ErrReviewNotFound)
}

// revisionRow is what AddRevision writes.
type revisionRow struct {
	bun.BaseModel `bun:"table:ustat_review_history"`
	ReviewID      reviews.ReviewID `bun:"review_id"`
	CourseID      courses.CourseID `bun:"course_id"`
	UserID        core.UserID      `bun:"user_id"`
	Action        reviews.Action   `bun:"action"`
	Rating        int              `bun:"rating"`
	Text          string           `bun:"text"`
	Status        reviews.Status   `bun:"status"`
	Reason        string           `bun:"reason"`
	ActorID       core.UserID      `bun:"actor_id"`
	CreatedAt     time.Time        `bun:"created_at"`
}

func (t reviewsTx) AddRevision(ctx context.Context, list ...reviews.Revision) error {
	if err := checkText(len(list), func(i int) []string { return []string{list[i].Text, list[i].Reason} }); err != nil {
		return err
	}
	rows := make([]revisionRow, len(list))
	for i, r := range list {
		rows[i] = revisionRow{
			ReviewID: r.Review, CourseID: r.Course, UserID: r.User, Action: r.Action, Rating: r.Rating, Text: r.Text, Status: r.Status,
			Reason: r.Reason, ActorID: r.By.ID, CreatedAt: core.Time(r.At),
		}
	}
	_, err := addRows(ctx, t.Tx, rows, "")
	return err
}

// add changes a number that a review has of what is below it.
func (t reviewsTx) add(ctx context.Context, column string, review reviews.ReviewID, by int) error {
	_, err := t.Tx.rawExec(ctx, "UPDATE ustat_reviews SET "+column+" = "+column+" + ? WHERE id = ?", by, review)
	return err
}

func (t reviewsTx) SetVote(ctx context.Context, review reviews.ReviewID, user core.UserID, on bool, at time.Time) (bool, error) {
	query, args, by := "DELETE FROM ustat_review_votes WHERE review_id = ? AND user_id = ?", []any{review, user}, -1
	if on {
		query, args, by = "INSERT INTO ustat_review_votes (review_id, user_id, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", append(args, core.Time(at)), 1
	}
	n, err := t.Tx.rawExec(ctx, query, args...)
	if err != nil || n == 0 {
		return false, err
	}
	return true, t.add(ctx, "helpful", review, by)
}

// commentRow is what InsertComment writes.
type commentRow struct {
	bun.BaseModel `bun:"table:ustat_review_comments"`
	ReviewID      reviews.ReviewID `bun:"review_id"`
	UserID        core.UserID      `bun:"user_id"`
	Text          string           `bun:"text"`
	CreatedAt     time.Time        `bun:"created_at"`
}

func (t reviewsTx) InsertComment(ctx context.Context, c reviews.Comment) (reviews.Comment, error) {
	if err := checkText(1, func(int) []string { return []string{c.Text} }); err != nil {
		return reviews.Comment{}, err
	}
	c.CreatedAt = core.Time(c.CreatedAt)
	ids, _, err := insert[commentRow, reviews.CommentID](ctx, t.Tx, "ustat_review_comments", []commentRow{{ReviewID: c.Review, UserID: c.User, Text: c.Text, CreatedAt: c.CreatedAt}}, "id")
	if err != nil {
		return reviews.Comment{}, err
	}
	c.ID = ids[0]
	return c, t.add(ctx, "comments", c.Review, 1)
}

func (t reviewsTx) DeleteComment(ctx context.Context, review reviews.ReviewID, id reviews.CommentID) error {
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_review_comments WHERE id = ? AND review_id = ?", id, review)
	if err := orMissing(n, err, reviews.ErrCommentNotFound); err != nil {
		return err
	}
	return t.add(ctx, "comments", review, -1)
}

func (t reviewsTx) InsertReport(ctx context.Context, r reviews.Report) (bool, error) {
	if err := checkText(1, func(int) []string { return []string{r.Note} }); err != nil {
		return false, err
	}
	n, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_review_reports (review_id, user_id, reason, note, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		r.Review, r.User, r.Reason, r.Note, core.Time(r.At))
	if err != nil || n == 0 {
		return false, err
	}
	return true, t.add(ctx, "reports", r.Review, 1)
}

func (t reviewsTx) HandleReports(ctx context.Context, review reviews.ReviewID) error {
	if _, err := t.Tx.rawExec(ctx, "UPDATE ustat_review_reports SET handled = TRUE WHERE review_id = ? AND NOT handled", review); err != nil {
		return err
	}
	_, err := t.Tx.rawExec(ctx, "UPDATE ustat_reviews SET reports = 0 WHERE id = ? AND reports <> 0", review)
	return err
}

// ForgetUser implements reviews.Tx. The reviews are locked by id before what is below
// them is touched, as by those who write it.
func (t reviewsTx) ForgetUser(ctx context.Context, user core.UserID, limit int) (int, error) {
	removed := 0
	for _, below := range []struct{ table, column, counted string }{
		{"ustat_review_votes", "helpful", ""},
		{"ustat_review_comments", "comments", ""},
		{"ustat_review_reports", "reports", " AND NOT handled"},
	} {
		ids, err := readAll(ctx, t.Tx.session, "SELECT review_id FROM "+below.table+" WHERE user_id = ? ORDER BY review_id LIMIT ?",
			[]any{user, limit}, scanOne[reviews.ReviewID])
		if err != nil {
			return 0, err
		}
		if ids = slices.Compact(ids); len(ids) == 0 {
			continue
		}
		if _, err := readAll(ctx, t.Tx.session, "SELECT id FROM ustat_reviews WHERE id BETWEEN ? AND ? AND id IN (SELECT review_id FROM "+below.table+
			" WHERE user_id = ?) ORDER BY id"+t.Tx.db.dialect.ForUpdate, []any{ids[0], ids[len(ids)-1], user}, scanOne[reviews.ReviewID]); err != nil {
			return 0, err
		}
		if _, err := t.Tx.rawExec(ctx, "UPDATE ustat_reviews SET "+below.column+" = "+below.column+" - (SELECT count(*) FROM "+below.table+
			" AS b WHERE b.review_id = ustat_reviews.id AND b.user_id = ?"+below.counted+") WHERE id IN (?)", user, bun.List(ids)); err != nil {
			return 0, err
		}
		n, err := t.Tx.rawExec(ctx, "DELETE FROM "+below.table+" WHERE user_id = ? AND review_id IN (?)", user, bun.List(ids))
		if err != nil {
			return 0, err
		}
		removed += int(n)
	}
	replies, err := t.forgetReplies(ctx, user, limit)
	if err != nil {
		return 0, err
	}
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_review_history WHERE id IN (SELECT id FROM ustat_review_history WHERE user_id = ? ORDER BY id LIMIT ?)", user, limit)
	return removed + replies + int(n), err
}

// forgetReplies takes up to limit replies of a user away, and returns how many.
func (t reviewsTx) forgetReplies(ctx context.Context, user core.UserID, limit int) (int, error) {
	ids, err := readAll(ctx, t.Tx.session, "SELECT id FROM ustat_reviews WHERE reply_by = ? AND reply_by <> 0 ORDER BY id LIMIT ?"+t.Tx.db.dialect.ForUpdate,
		[]any{user, limit}, scanOne[reviews.ReviewID])
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_reviews SET reply_text = '', reply_by = 0, reply_at = NULL, version = version + 1 WHERE reply_by = ? AND id IN (?)", user, bun.List(ids))
	return int(n), err
}
