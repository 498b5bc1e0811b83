package reviews

import "github.com/ustat/ustat/core"

// The errors of reviews.
var (
	// ErrReviewNotFound is also for a review that is not for this actor.
	ErrReviewNotFound  = &core.Error{Kind: core.KindNotFound, Code: "reviews.not_found", Message: "there is no such review"}
	ErrCommentNotFound = &core.Error{Kind: core.KindNotFound, Code: "reviews.comment_not_found", Message: "there is no such comment"}
	// ErrReviewed is for a second review of one course.
	ErrReviewed = &core.Error{Kind: core.KindConflict, Code: "reviews.already_reviewed", Message: "the user has reviewed this course: edit that review"}
	// ErrNotEligible names by its violations, whose field is "course", all that is in the
	// way; their codes are the reasons of Eligibility.
	ErrNotEligible = &core.Error{Kind: core.KindForbidden, Code: "reviews.not_eligible", Message: "the user may not review this course"}
	// ErrOwnReview is for a vote or a report on one's own review.
	ErrOwnReview = &core.Error{Kind: core.KindForbidden, Code: "reviews.own_review", Message: "this is your own review"}
	// ErrOwnCourse is for a vote or a report by who teaches the course, or is a producer of
	// theirs.
	ErrOwnCourse = &core.Error{Kind: core.KindForbidden, Code: "reviews.own_course", Message: "this is a review of a course of your own"}
	// ErrTransition is for a decision that does not follow from the present status.
	ErrTransition = &core.Error{Kind: core.KindFailedPrecondition, Code: "reviews.invalid_transition", Message: "the review's status does not allow this"}
	// ErrNotShown is for a vote, comment, report or reply on a review that is not
	// published.
	ErrNotShown = &core.Error{Kind: core.KindFailedPrecondition, Code: "reviews.not_published", Message: "the review is not published"}
	// ErrTooMany comes with RetryAfter: somebody writes more than Config.PerHour.
	ErrTooMany = &core.Error{Kind: core.KindRateLimited, Code: "reviews.too_many", Message: "too much was written: come back later"}
	// ErrRefused is for a comment or a reply that the Moderator would hold; the violation names why.
	ErrRefused = &core.Error{Kind: core.KindInvalid, Code: "reviews.refused", Message: "this is not taken"}
)
