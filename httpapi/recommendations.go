package httpapi

import (
	"context"
	"math"
	"net/http"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/recommend"
)

const (
	recommendTag        = "recommendations"
	recommendationsPath = Prefix + "/recommendations/"
)

// namedCourse is a course that something is said about.
type namedCourse struct {
	_     struct{} `nullable:"true"`
	Slug  string   `json:"slug"`
	Title string   `json:"title"`
}

type recommendation struct {
	Course course         `json:"course"`
	Score  float64        `json:"score" doc:"Comparable within one answer"`
	Reason recommendCause `json:"reason"`
	Parts  scoreParts     `json:"parts" nullable:"false" doc:"What the score is made of, by name"`
}

type scoreParts map[string]float64

type recommendCause struct {
	Kind     string        `json:"kind" enum:"because_you_took,similar_to,preferred_category,popular,new"`
	Course   *namedCourse  `json:"course" doc:"Of because_you_took and similar_to, where one may see it; else null"`
	Category *categoryName `json:"category" doc:"Of preferred_category; else null"`
}

type recommendations struct {
	Results []recommendation `json:"results" nullable:"false"`
	Variant string           `json:"variant" doc:"The strategy that made the list: always the same for one learner, while the platform compares two"`
}

func recommendationsOf(list recommend.List, err error) (recommendations, error) {
	out := recommendations{Results: make([]recommendation, len(list.Items)), Variant: list.Variant}
	for i, item := range list.Items {
		shown := recommendation{Course: courseOf(item.Course), Score: item.Score, Reason: recommendCause{Kind: string(item.Reason.Kind)}, Parts: scoreParts{}}
		for _, p := range item.Parts {
			shown.Parts[p.Name] = p.Value
		}
		if c := item.Reason.Course; c.ID != 0 {
			shown.Reason.Course = &namedCourse{Slug: c.Slug, Title: c.Title}
		}
		if c := item.Reason.Category; c.ID != 0 {
			shown.Reason.Category = &categoryName{Slug: c.Slug, Name: c.Name}
		}
		out.Results[i] = shown
	}
	return out, err
}

type interaction struct {
	Course string `json:"course" validate:"required,max=128" doc:"Slug"`
	Type   string `json:"type" validate:"required,oneof=view bookmark" doc:"What the platform itself does not know; of a course one view a day counts, and one bookmark"`
}

type interactionReceipt struct {
	ID      string `json:"id" doc:"Of this interaction: the same for the same Idempotency-Key"`
	Counted bool   `json:"counted" doc:"Whether it was new"`
}

type preference struct {
	Category categoryName `json:"category"`
	Weight   float64      `json:"weight" minimum:"1" maximum:"10" doc:"As it is now: what it has grown by halves every 90 days"`
}

type preferences struct {
	Results []preference `json:"results" nullable:"false"`
}

func (a *api) mountRecommendations() {
	get(a, route{
		path: recommendationsPath, id: "recommendations-list", tag: recommendTag, summary: "Courses for oneself",
		description: "Best first, each with its reason; none that one takes, teaches or has dismissed. Who is not signed in gets popular ones.",
		query:       []param{limitParam(), {name: "language", kind: langTag, doc: "Courses in other languages come after"}},
	}, func(ctx context.Context, c *call) (recommendations, error) {
		q := recommend.Query{Limit: c.page().Limit}
		if language := c.args.text("language"); language != "" {
			q.Languages = []string{language}
		}
		return recommendationsOf(a.platform.Recommend.Recommend(ctx, c.actor, q))
	})
	get(a, route{
		path: Prefix + "/courses/{slug}/similar/", id: "courses-similar", tag: recommendTag, summary: "Courses that go with a course",
		description: "Best first.", query: []param{limitParam()},
	}, func(ctx context.Context, c *call) (recommendations, error) {
		return recommendationsOf(a.platform.Recommend.Similar(ctx, c.actor, c.path("slug"), c.page().Limit))
	})
	send(a, route{
		method: http.MethodPost, path: recommendationsPath + "interact/", id: "recommendations-interact", tag: recommendTag, summary: "Tell what one did with a course",
		description: "The next list of recommendations reflects it. That one enrolled in a course, or completed it, the platform knows by itself.",
		status:      http.StatusAccepted, keyed: true, signedIn: true, failures: append([]int{http.StatusNotFound}, tooOften...),
	}, func(ctx context.Context, c *call, in interaction) (interactionReceipt, error) {
		kind, err := recommend.ParseKind(in.Type)
		if err != nil {
			return interactionReceipt{}, err
		}
		done, err := a.platform.Recommend.Interact(ctx, c.actor, recommend.NewInteraction{Course: in.Course, Kind: kind, Key: c.key()})
		return interactionReceipt{done.ID.String(), done.Counted}, err
	})
	dismiss := func(method, id, summary string, do func(s *recommend.Service, ctx context.Context, c *call) error) {
		send(a, route{
			method: method, path: recommendationsPath + "{slug}/dismiss/", id: id, tag: recommendTag, summary: summary, signedIn: true,
			description: "At most 1,000 courses are dismissed.", failures: append([]int{http.StatusConflict}, tooOften...),
		}, func(ctx context.Context, c *call, _ none) (none, error) {
			return none{}, do(a.platform.Recommend, ctx, c)
		})
	}
	dismiss(http.MethodPost, "recommendations-dismiss", "Do not recommend a course any more", func(s *recommend.Service, ctx context.Context, c *call) error {
		return s.Dismiss(ctx, c.actor, c.path("slug"))
	})
	dismiss(http.MethodDelete, "recommendations-undismiss", "Recommend a course again", func(s *recommend.Service, ctx context.Context, c *call) error {
		return s.Undismiss(ctx, c.actor, c.path("slug"))
	})
	get(a, route{
		path: recommendationsPath + "preferences/", id: "preferences-list", tag: recommendTag, summary: "How much one likes categories",
		description: "By what one did with their courses, the greatest weight first; all other categories have weight 1.", signedIn: true,
	}, func(ctx context.Context, c *call) (preferences, error) {
		list, err := a.platform.Recommend.Preferences(ctx, c.actor)
		out := preferences{Results: make([]preference, len(list))}
		for i, p := range list {
			const digits = 1e6
			out.Results[i] = preference{categoryNamed(p.Category), math.Round(p.Weight*digits) / digits}
		}
		return out, err
	})
	send(a, route{
		method: http.MethodDelete, path: recommendationsPath + "preferences/", id: "preferences-reset", tag: recommendTag, summary: "Begin anew with weight 1 of all categories",
		signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (none, error) {
		return none{}, a.platform.Recommend.ResetPreferences(ctx, c.actor)
	})
	send(a, route{
		method: http.MethodPost, path: recommendationsPath + "train/", id: "recommendations-train", tag: recommendTag, summary: "Have the models trained anew",
		description: "Admins only. It is done in the background.", signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (none, error) {
		return none{}, a.platform.Recommend.RequestTraining(ctx, c.actor)
	})
}

func categoryNamed(c courses.Category) categoryName { return categoryName{Slug: c.Slug, Name: c.Name} }
