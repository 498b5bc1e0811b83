package sqlstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
)

// What imports and exports of reviews need: everything by the block.

// ReviewsAfter implements reviews.Reader: the rest of the course that the place is in, and
// the courses behind it.
func (r reviewsReader) ReviewsAfter(ctx context.Context, ids []courses.CourseID, after reviews.Place, limit int) ([]reviews.Review, error) {
	var all []reviews.Review
	if after.ID != 0 && len(ids) > 0 {
		if reviewStatus[after.Status] == "" {
			return nil, core.Invalid("after.status", "oneof", "", string(after.Status), "there is no such status")
		}
		var err error
		all, err = readAll(ctx, r.session, selectReviews+"course_id = ? AND (status, created_at, id) > (?, ?, ?) ORDER BY status, created_at, id LIMIT ?",
			[]any{ids[0], string(after.Status), r.db.timeValue(after.At), after.ID, limit}, scanReview)
		if err != nil || len(all) == limit {
			return all, err
		}
		ids = ids[1:]
	}
	if len(ids) == 0 {
		return all, nil
	}
	const value = "(CAST(? AS BIGINT), CAST(? AS BIGINT))"
	n := roundUp(len(ids))
	args := make([]any, 0, 2*n+1)
	for i := range n {
		id := courses.CourseID(0) // of no course
		if i < len(ids) {
			id = ids[i]
		}
		args = append(args, i, id)
	}
	rest, err := readAll(ctx, r.session, "WITH v (place, course) AS (VALUES "+value+strings.Repeat(", "+value, n-1)+") SELECT "+reviewColumns+
		" FROM v"+r.db.dialect.JoinOrder+"ustat_reviews WHERE course_id = v.course ORDER BY v.place, status, created_at, id LIMIT ?",
		append(args, limit-len(all)), scanReview)
	return append(all, rest...), err
}

// LockStats implements reviews.Tx.
func (t reviewsTx) LockStats(ctx context.Context, ids []courses.CourseID) error {
	_, err := t.lockStats(ctx, ids)
	return err
}

// lockStats makes the rows of numbers that are missing and locks all, and returns them by
// id.
func (t reviewsTx) lockStats(ctx context.Context, ids []courses.CourseID) ([]reviews.Stats, error) {
	var all []reviews.Stats
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	for block := range slices.Chunk(ids, blockRows) {
		where, args := in(t.Tx.db, "course_id", block)
		locked := func() ([]reviews.Stats, error) {
			return readAll(ctx, t.Tx.session, selectReviewStats+where+" ORDER BY course_id"+t.Tx.db.dialect.ForUpdate, args, scanReviewStats)
		}
		found, err := locked()
		if err == nil && len(found) < len(block) {
			args := make([]any, len(block))
			for i, id := range block {
				args[i] = id
			}
			if _, err = t.Tx.rawExec(ctx, "INSERT INTO ustat_review_stats (course_id) VALUES (?)"+strings.Repeat(", (?)", len(block)-1)+" ON CONFLICT DO NOTHING", args...); err == nil {
				found, err = locked()
			}
		}
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// RecountStats implements reviews.Tx.
func (t reviewsTx) RecountStats(ctx context.Context, ids []courses.CourseID) ([]reviews.Stats, error) {
	stored, err := t.lockStats(ctx, ids)
	if err != nil {
		return nil, err
	}
	var changed []reviews.Stats
	for block := range slices.Chunk(stored, blockRows) {
		ids := make([]courses.CourseID, len(block))
		for i, s := range block {
			ids[i] = s.Course
		}
		counted, err := t.counted(ctx, ids)
		if err != nil {
			return nil, err
		}
		var differ []reviews.Stats
		for _, was := range block {
			now := counted[was.Course]
			now.Version = was.Version
			if now != was {
				now.Version++
				differ = append(differ, now)
			}
		}
		if err := t.updateAllStats(ctx, differ); err != nil {
			return nil, err
		}
		changed = append(changed, differ...)
	}
	return changed, nil
}

// updateAllStats writes numbers, here and in the lists of courses, by two statements.
func (t reviewsTx) updateAllStats(ctx context.Context, list []reviews.Stats) error {
	if len(list) == 0 {
		return nil
	}
	var args, listed []any
	for _, s := range list {
		h := s.Histogram
		args = append(args, s.Course, s.Count, s.Sum, h[0], h[1], h[2], h[3], h[4], s.Version)
		listed = append(listed, s.Course, s.Count, s.Sum, courses.Stats{ReviewCount: s.Count, RatingSum: s.Sum}.RatingRank(), s.Version)
	}
	const number = "CAST(? AS BIGINT)"
	wide, narrow := "("+number+strings.Repeat(", "+number, 8)+")", "("+number+strings.Repeat(", "+number, 4)+")"
	if _, err := t.Tx.rawExec(ctx, "WITH v (id, n, total, h1, h2, h3, h4, h5, version) AS (VALUES "+wide+strings.Repeat(", "+wide, len(list)-1)+")"+
		" UPDATE ustat_review_stats SET review_count = v.n, rating_sum = v.total, ones = v.h1, twos = v.h2, threes = v.h3, fours = v.h4, fives = v.h5, version = v.version"+
		" FROM v WHERE ustat_review_stats.course_id = v.id", args...); err != nil {
		return err
	}
	_, err := t.Tx.rawExec(ctx, "WITH v (id, n, total, ranked, version) AS (VALUES "+narrow+strings.Repeat(", "+narrow, len(list)-1)+")"+
		" UPDATE ustat_course_stats SET review_count = v.n, rating_sum = v.total, rating_rank = v.ranked, rating_version = v.version"+
		" FROM v WHERE ustat_course_stats.course_id = v.id AND ustat_course_stats.rating_version < v.version", listed...)
	return err
}

// reviewUpdateRow is what UpdateReviews writes.
type reviewUpdateRow struct {
	bun.BaseModel `bun:"table:ustat_reviews"`
	ID            reviews.ReviewID `bun:"id,pk"`
	Rating        int              `bun:"rating"`
	Text          string           `bun:"text"`
	Status        reviews.Status   `bun:"status"`
	Reason        string           `bun:"reason"`
	CreatedAt     time.Time        `bun:"created_at"`
	UpdatedAt     time.Time        `bun:"updated_at"`
}

// UpdateReviews implements reviews.Tx.
func (t reviewsTx) UpdateReviews(ctx context.Context, list []reviews.Review) error {
	rows := make([]reviewUpdateRow, len(list))
	for i, r := range list {
		if err := checkReview(&r); err != nil {
			return err
		}
		rows[i] = reviewUpdateRow{
			ID: r.ID, Rating: r.Rating, Text: r.Text, Status: r.Status, Reason: r.Reason, CreatedAt: core.Time(r.CreatedAt), UpdatedAt: core.Time(r.UpdatedAt),
		}
	}
	return updateRows(ctx, t.Tx, rows, reviews.ErrReviewNotFound, "rating", "text", "status", "reason", "created_at", "updated_at")
}
