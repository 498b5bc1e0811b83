package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/reviews"
)

const (
	reviewsPath    = Prefix + "/reviews/"
	moderationPath = Prefix + "/moderation/reviews/"
	oneReview      = reviewsPath + "{id}/"
)

type review struct {
	ID           string       `json:"id" doc:"Opaque"`
	Course       *string      `json:"course" doc:"The slug of the course; null in one's own review of a course that one does not see any more"`
	User         string       `json:"user" doc:"The username of its author"`
	Name         string       `json:"name" doc:"The name of its author"`
	Rating       int          `json:"rating" minimum:"1" maximum:"5"`
	Text         string       `json:"text" doc:"Plain text; may be empty"`
	Status       string       `json:"status" enum:"pending,published,hidden,rejected"`
	Reason       string       `json:"reason,omitempty" doc:"Why it is not published: for its author and admins"`
	HelpfulCount int          `json:"helpful_count"`
	Helpful      bool         `json:"helpful" doc:"Who asks has found it helpful; false in lists of many courses"`
	CommentCount int          `json:"comment_count"`
	Reply        *reviewReply `json:"reply" doc:"The answer of the course's side; null without one"`
	Trust        *int         `json:"trust,omitempty" doc:"0 to 100; for admins"`
	ReportCount  *int         `json:"report_count,omitempty" doc:"Reports of abuse that nobody has looked at; for admins"`
	CreatedAt    time.Time    `json:"created_at"`
	UpdatedAt    time.Time    `json:"updated_at"`
}

type reviewReply struct {
	_         struct{}  `nullable:"true"`
	User      string    `json:"user"`
	Name      string    `json:"name"`
	Text      string    `json:"text"`
	CreatedAt time.Time `json:"created_at"`
}

func idText[ID ~int64](id ID) string { return strconv.FormatInt(int64(id), 10) }

// reviewFor presents reviews to who asks.
func reviewFor(by core.Actor) func(r reviews.Review) review {
	return func(r reviews.Review) review {
		out := review{
			ID: idText(r.ID), Course: textOrNull(r.Slug), User: r.Author.Username, Name: r.Author.Name, Rating: r.Rating, Text: r.Text,
			Status: string(r.Status), Reason: r.Reason, HelpfulCount: r.Helpful, Helpful: r.Voted, CommentCount: r.Comments,
			CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
		}
		if r.Reply.Text != "" {
			out.Reply = &reviewReply{User: r.Reply.By.Username, Name: r.Reply.By.Name, Text: r.Reply.Text, CreatedAt: r.Reply.At.UTC()}
		}
		if by.IsAdmin() {
			out.Trust, out.ReportCount = &r.Trust, &r.Reports
		}
		return out
	}
}

// review shows a review with the version that If-Match takes.
func (c *call) review(r reviews.Review, err error) (review, error) {
	if err != nil {
		return review{}, err
	}
	c.at = r.Version
	return reviewFor(c.actor)(r), nil
}

func (c *call) reviewID() (reviews.ReviewID, error) {
	id, err := c.id("id", reviews.ErrReviewNotFound)
	return reviews.ReviewID(id), err
}

// onReview is a handler about the review that the path names.
func onReview[In, T any](do func(ctx context.Context, c *call, id reviews.ReviewID, in In) (T, error)) func(context.Context, *call, In) (T, error) {
	return func(ctx context.Context, c *call, in In) (T, error) {
		id, err := c.reviewID()
		if err != nil {
			return *new(T), err
		}
		return do(ctx, c, id, in)
	}
}

type reviewSummary struct {
	ReviewCount   int64            `json:"review_count"`
	AverageRating *float64         `json:"average_rating" minimum:"1" maximum:"5" doc:"null when unrated"`
	Histogram     map[string]int64 `json:"histogram" doc:"How many gave 1, 2, 3, 4 and 5"`
}

func summaryOf(s reviews.Stats) reviewSummary {
	out := reviewSummary{ReviewCount: s.Count, Histogram: make(map[string]int64, len(s.Histogram))}
	for i, n := range s.Histogram {
		out.Histogram[strconv.Itoa(reviews.MinRating+i)] = n
	}
	if average, rated := s.Average(); rated {
		out.AverageRating = &average
	}
	return out
}

type eligibility struct {
	Allowed    bool     `json:"allowed"`
	Reasons    []string `json:"reasons" nullable:"false" doc:"All that is in the way: signed_out, not_enrolled, own_course, linked_course, progress, already_reviewed"`
	Review     *string  `json:"review" doc:"The id of the review that who asks has written; null without one"`
	Percent    int      `json:"progress_percent"`
	MinPercent int      `json:"min_progress_percent"`
}

func eligibilityOf(e reviews.Eligibility) eligibility {
	out := eligibility{Allowed: e.Allowed, Reasons: append([]string{}, e.Reasons...), Percent: e.Percent, MinPercent: e.MinPercent}
	if e.Review != 0 {
		id := idText(e.Review)
		out.Review = &id
	}
	return out
}

// newReview is a review that names its course.
type newReview struct {
	Course string `json:"course" validate:"required,max=120"`
	Rating int    `json:"rating" validate:"required,min=1,max=5"`
	Text   string `json:"text,omitempty" validate:"max=10000,text"`
}

// tooOften is the answer to who writes too much.
var tooOften = []int{http.StatusTooManyRequests}

func (a *api) mountReviews() {
	const tag = "reviews"
	statusParam := param{name: "status", kind: choice, choices: names(reviews.Statuses[:]), doc: "Only reviews in it"}
	get(a, route{
		path: coursePath + "reviews/", id: "course-reviews-list", tag: tag, summary: "List the published reviews of a course",
		query: append(pageParams(), param{name: "sort", kind: choice, choices: names(reviews.Sorts[:]), standard: string(reviews.Recent), doc: "Order"}),
	}, func(ctx context.Context, c *call) (list[review], error) {
		page, err := a.platform.Reviews.List(ctx, c.actor, c.path("slug"), reviews.Sort(c.args.text("sort")), c.page())
		return present(page.Items, page.Next, reviewFor(c.actor)), err
	})
	send(a, route{
		method: http.MethodPost, path: coursePath + "reviews/", id: "course-reviews-create", tag: tag, summary: "Review a course",
		description: "Once, by who takes the course; not one's own, nor as a producer one of a teacher's that one works for. See eligibility.",
		status:      http.StatusCreated, long: true, keyed: true, signedIn: true, failures: tooOften,
	}, func(ctx context.Context, c *call, in reviews.New) (review, error) {
		return a.createReview(ctx, c, c.path("slug"), in)
	})
	get(a, route{
		path: coursePath + "reviews/summary/", id: "course-reviews-summary", tag: tag, summary: "The numbers of a course's reviews",
	}, func(ctx context.Context, c *call) (reviewSummary, error) {
		stats, err := a.platform.Reviews.Summary(ctx, c.actor, c.path("slug"))
		return summaryOf(stats), err
	})
	get(a, route{
		path: coursePath + "reviews/eligibility/", id: "course-reviews-eligibility", tag: tag, summary: "Whether one may review a course, and why not",
	}, func(ctx context.Context, c *call) (eligibility, error) {
		e, err := a.platform.Reviews.Eligibility(ctx, c.actor, c.path("slug"))
		return eligibilityOf(e), err
	})
	get(a, route{
		path: reviewsPath, id: "reviews-list", tag: tag, summary: "List one's reviews, or as an admin all", description: "The newest first, whatever their status.",
		query: append(pageParams(), statusParam), signedIn: true,
	}, a.listReviews)
	send(a, route{
		method: http.MethodPost, path: reviewsPath, id: "reviews-create", tag: tag, summary: "Review the course that the body names",
		status: http.StatusCreated, long: true, keyed: true, signedIn: true, failures: append([]int{http.StatusNotFound}, tooOften...),
	}, func(ctx context.Context, c *call, in newReview) (review, error) {
		return a.createReview(ctx, c, in.Course, reviews.New{Rating: in.Rating, Text: in.Text})
	})
	get(a, route{path: oneReview, id: "reviews-get", tag: tag, summary: "One review"}, func(ctx context.Context, c *call) (review, error) {
		id, err := c.reviewID()
		if err != nil {
			return review{}, err
		}
		return c.review(a.platform.Reviews.Review(ctx, c.actor, id))
	})
	send(a, route{
		method: http.MethodPatch, path: oneReview, id: "reviews-update", tag: tag, summary: "Change one's review", long: true, versioned: true, signedIn: true, failures: tooOften,
	}, onReview(func(ctx context.Context, c *call, id reviews.ReviewID, in reviews.Change) (review, error) {
		in.IfVersion = c.version
		return c.review(a.platform.Reviews.Edit(ctx, c.actor, id, in))
	}))
	send(a, route{
		method: http.MethodDelete, path: oneReview, id: "reviews-delete", tag: tag, summary: "Remove one's review, or as an admin any", versioned: true, signedIn: true,
	}, onReview(func(ctx context.Context, c *call, id reviews.ReviewID, _ none) (none, error) {
		return none{}, a.platform.Reviews.Delete(ctx, c.actor, id, c.version)
	}))
	a.mountBelowReviews()
	a.mountModeration()
}

func (a *api) createReview(ctx context.Context, c *call, course string, in reviews.New) (review, error) {
	in.Key = c.key()
	made, err := a.platform.Reviews.Create(ctx, c.actor, course, in)
	if err != nil {
		return review{}, err
	}
	c.location = reviewsPath + idText(made.ID) + "/"
	return c.review(made, nil)
}

func (a *api) listReviews(ctx context.Context, c *call) (list[review], error) {
	read := a.platform.Reviews.Own
	if c.actor.IsAdmin() {
		read = a.platform.Reviews.All
	}
	page, err := read(ctx, c.actor, reviews.Choice{Status: reviews.Status(c.args.text("status"))}, c.page())
	return present(page.Items, page.Next, reviewFor(c.actor)), err
}
