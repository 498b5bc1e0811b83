package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/ustat/ustat/reviews"
)

type comment struct {
	ID        string    `json:"id" doc:"Opaque"`
	User      string    `json:"user"`
	Name      string    `json:"name"`
	Text      string    `json:"text" doc:"Plain text"`
	CreatedAt time.Time `json:"created_at"`
}

func commentOf(c reviews.Comment) comment {
	return comment{idText(c.ID), c.Author.Username, c.Author.Name, c.Text, c.CreatedAt.UTC()}
}

type helpfulCount struct {
	HelpfulCount int `json:"helpful_count"`
}

func (a *api) mountBelowReviews() {
	const tag = "reviews"
	send(a, route{
		method: http.MethodPut, path: oneReview + "reply/", id: "reviews-reply", tag: tag, summary: "Answer a review, or answer it otherwise",
		description: "For who may edit the course. Plain text of at most 10,000 characters.", long: true, signedIn: true, failures: tooOften,
	}, onReview(func(ctx context.Context, c *call, id reviews.ReviewID, in reviews.NewText) (review, error) {
		return c.review(a.platform.Reviews.SetReply(ctx, c.actor, id, in))
	}))
	send(a, route{
		method: http.MethodDelete, path: oneReview + "reply/", id: "reviews-reply-delete", tag: tag, summary: "Take an answer away", signedIn: true, failures: tooOften,
	}, onReview(func(ctx context.Context, c *call, id reviews.ReviewID, _ none) (none, error) {
		_, err := a.platform.Reviews.DeleteReply(ctx, c.actor, id)
		return none{}, err
	}))
	get(a, route{
		path: oneReview + "comments/", id: "comments-list", tag: tag, summary: "List the comments on a review, the first first", query: pageParams(),
	}, func(ctx context.Context, c *call) (list[comment], error) {
		id, err := c.reviewID()
		if err != nil {
			return list[comment]{}, err
		}
		page, err := a.platform.Reviews.Comments(ctx, c.actor, id, c.page())
		return present(page.Items, page.Next, commentOf), err
	})
	send(a, route{
		method: http.MethodPost, path: oneReview + "comments/", id: "comments-create", tag: tag, summary: "Comment on a review",
		description: "Plain text of at most 2,000 characters.", status: http.StatusCreated, keyed: true, signedIn: true, failures: tooOften,
	}, onReview(func(ctx context.Context, c *call, id reviews.ReviewID, in reviews.NewText) (comment, error) {
		in.Key = c.key()
		made, err := a.platform.Reviews.Comment(ctx, c.actor, id, in)
		return commentOf(made), err
	}))
	send(a, route{
		method: http.MethodDelete, path: oneReview + "comments/{comment}/", id: "comments-delete", tag: tag, summary: "Remove one's comment, or as an admin any", signedIn: true,
	}, onReview(func(ctx context.Context, c *call, id reviews.ReviewID, _ none) (none, error) {
		comment, err := c.id("comment", reviews.ErrCommentNotFound)
		if err != nil {
			return none{}, err
		}
		return none{}, a.platform.Reviews.DeleteComment(ctx, c.actor, id, reviews.CommentID(comment))
	}))
	vote := func(method, id, summary, description string, helpful bool) {
		send(a, route{
			method: method, path: oneReview + "vote/", id: id, tag: tag, summary: summary, description: description, signedIn: true, failures: tooOften,
		}, onReview(func(ctx context.Context, c *call, id reviews.ReviewID, _ none) (helpfulCount, error) {
			n, err := a.platform.Reviews.Vote(ctx, c.actor, id, helpful)
			return helpfulCount{n}, err
		}))
	}
	vote(http.MethodPut, "reviews-vote", "Find a review helpful", "Not one's own, nor one of a course of one's own.", true)
	vote(http.MethodDelete, "reviews-vote-delete", "Find it helpful no longer", "Also when it is shown no longer; then the count is 0.", false)
	send(a, route{
		method: http.MethodPost, path: oneReview + "report/", id: "reviews-report", tag: tag, summary: "Report a review as abusive",
		description: "Not one's own, nor one of a course of one's own. Once: another report counts for nothing.", long: true, signedIn: true, failures: tooOften,
	}, onReview(func(ctx context.Context, c *call, id reviews.ReviewID, in reviews.NewReport) (none, error) {
		return none{}, a.platform.Reviews.Report(ctx, c.actor, id, in)
	}))
}

// revision is a review as it was before an action.
type revision struct {
	Action    string    `json:"action" enum:"edit,delete,approve,hide,reject,requeue"`
	User      string    `json:"user" doc:"Who did it; empty for the operator"`
	Reason    string    `json:"reason"`
	Rating    int       `json:"rating" doc:"Before it, as all that follows"`
	Text      string    `json:"text"`
	Status    string    `json:"status"`
	CreatedAt time.Time `json:"created_at" doc:"When it was done"`
}

func revisionOf(r reviews.Revision) revision {
	return revision{string(r.Action), r.By.Username, r.Reason, r.Rating, r.Text, string(r.Status), r.At.UTC()}
}

type abuse struct {
	User      string    `json:"user"`
	Reason    string    `json:"reason" enum:"spam,offensive,off_topic,fake,private,other"`
	Note      string    `json:"note"`
	Handled   bool      `json:"handled" doc:"An admin has decided on the review since"`
	CreatedAt time.Time `json:"created_at"`
}

func abuseOf(r reviews.Report) abuse {
	return abuse{r.By.Username, string(r.Reason), r.Note, r.Handled, r.At.UTC()}
}

func (a *api) mountModeration() {
	const tag = "moderation"
	get(a, route{
		path: moderationPath, id: "moderation-list", tag: tag, summary: "The reviews that wait, the oldest first", description: "Admins only.", query: pageParams(), signedIn: true,
	}, func(ctx context.Context, c *call) (list[review], error) {
		page, err := a.platform.Reviews.Queue(ctx, c.actor, c.page())
		return present(page.Items, page.Next, reviewFor(c.actor)), err
	})
	send(a, route{
		method: http.MethodPost, path: moderationPath + "{id}/", id: "moderation-decide", tag: tag, summary: "Approve, hide or reject a review",
		description: "Admins only. Whatever was reported of it is handled by that. To hide and to reject take a reason.", long: true, versioned: true, signedIn: true,
	}, onReview(func(ctx context.Context, c *call, id reviews.ReviewID, in reviews.Decision) (review, error) {
		in.IfVersion = c.version
		return c.review(a.platform.Reviews.Moderate(ctx, c.actor, id, in))
	}))
	get(a, route{
		path: moderationPath + "{id}/history/", id: "moderation-history", tag: tag, summary: "What a review was before each change, the newest first",
		description: "Admins only. Also of a review that is removed.", query: pageParams(), signedIn: true,
	}, func(ctx context.Context, c *call) (list[revision], error) {
		id, err := c.reviewID()
		if err != nil {
			return list[revision]{}, err
		}
		page, err := a.platform.Reviews.History(ctx, c.actor, id, c.page())
		return present(page.Items, page.Next, revisionOf), err
	})
	get(a, route{
		path: moderationPath + "{id}/reports/", id: "moderation-reports", tag: tag, summary: "The reports of abuse on a review", description: "Admins only.", query: pageParams(), signedIn: true,
	}, func(ctx context.Context, c *call) (list[abuse], error) {
		id, err := c.reviewID()
		if err != nil {
			return list[abuse]{}, err
		}
		page, err := a.platform.Reviews.Reports(ctx, c.actor, id, c.page())
		return present(page.Items, page.Next, abuseOf), err
	})
}
