package recommend

import (
	"context"
	"slices"
	"strconv"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// Query is what Recommend is asked for.
type Query struct {
	Limit     int      // 1 to core.MaxLimit; zero means core.DefaultLimit
	Languages []string // that the actor understands, at most MaxLanguages BCP 47 tags; courses in others come after. Empty is any
}

// MaxLanguages bounds the languages of a Query.
const MaxLanguages = 10

// Recommendation is a course with why it is recommended.
type Recommendation struct {
	Course courses.Course
	Score  float64
	Parts  []Part
	Reason Explanation
}

// Explanation is a Reason whose course and category have names.
type Explanation struct {
	Kind     ReasonKind
	Course   courses.Course   // of BecauseTaken and BecauseContent, else empty
	Category courses.Category // of BecausePreferred, else empty
}

// List is what Recommend and Similar return.
type List struct {
	Items   []Recommendation // best first
	Variant string           // the strategy that made it; "popular" while there is no model
}

// popularVariant is the Variant of lists that no model has made.
const popularVariant = "popular"

// rounds is how often more is asked of a model whose courses are not published any more,
// and spare how many more than are wanted are asked for at once.
const (
	rounds = 3
	spare  = 10
)

// Recommend returns published courses for the actor, best first: none that they take, wait
// for, teach, as a producer run, or have dismissed. To nobody signed in, and to who has done
// nothing yet, those that many take. All that the actor has done is looked up, so that the
// next request reflects it. The statements are 10, 1 more for a producer, and 3 more for each
// of at most 2 rounds where courses of the model are not published any more. It fails with core.ErrInvalid for a Limit or
// Languages out of their bounds.
func (s *Service) Recommend(ctx context.Context, by core.Actor, q Query) (List, error) {
	ctx = core.WithOperation(ctx, "recommend.Recommend")
	limit, err := core.Page{Limit: q.Limit}.Size()
	if err != nil {
		return List{}, err
	}
	if len(q.Languages) > MaxLanguages {
		return List{}, core.Invalid("language", "max", strconv.Itoa(MaxLanguages), strconv.Itoa(len(q.Languages)), "there are too many languages")
	}
	r, err := s.request(ctx, by)
	if err != nil {
		return List{}, err
	}
	r.Languages = q.Languages
	a := s.armOf(r.User)
	model := a.live.Model()
	if model == nil {
		return s.popular(ctx, by, courses.Filter{}, limit, barred(r))
	}
	ask := func(exclude []courses.CourseID) ([]Scored, error) {
		asked := r
		asked.K, asked.Exclude = limit+spare, exclude
		return model.Recommend(ctx, asked)
	}
	return s.published(ctx, by, a.strategy.Name(), limit, r.Exclude, ask)
}

// Similar returns published courses that go with a course that the actor sees, best first; where
// the model knows of none, the most taken ones of its category. It fails with core.ErrInvalid
// for a limit out of its bounds.
func (s *Service) Similar(ctx context.Context, by core.Actor, slug string, limit int) (List, error) {
	ctx = core.WithOperation(ctx, "recommend.Similar")
	limit, err := core.Page{Limit: limit}.Size()
	if err != nil {
		return List{}, err
	}
	ref, err := s.c.Courses.Ref(ctx, by, slug)
	if err != nil {
		return List{}, err
	}
	user := max(0, by.UserID)
	a := s.armOf(user)
	if model, ok := a.live.Model().(Similarer); ok {
		list, err := s.published(ctx, by, a.strategy.Name(), limit, nil, func(exclude []courses.CourseID) ([]Scored, error) {
			return model.Similar(ctx, ref.ID, limit+spare, exclude)
		})
		if err != nil || len(list.Items) > 0 {
			return list, err
		}
	}
	if ref.Category == 0 {
		return List{Items: []Recommendation{}, Variant: popularVariant}, nil
	}
	named, err := s.c.Courses.CategoriesByID(ctx, []courses.CategoryID{ref.Category})
	if err != nil {
		return List{}, err
	}
	return s.popular(ctx, by, courses.Filter{Category: named[ref.Category].Slug}, limit, map[courses.CourseID]bool{ref.ID: true})
}

// request returns what is known of an actor.
func (s *Service) request(ctx context.Context, by core.Actor) (Request, error) {
	now := s.c.Clock.Now()
	r := Request{User: max(0, by.UserID), At: now, Diversity: s.c.Diversity, Explore: s.c.Explore}
	if r.User == 0 {
		return r, nil
	}
	audience, err := s.c.Courses.Audience(ctx, by)
	if err != nil {
		return r, err
	}
	ended := map[courses.CourseID]bool{} // enrollments that are taken back
	for _, t := range audience.Taken {
		switch {
		case t.Status.Seated():
			r.History = append(r.History, Interaction{r.User, t.Course, Start, Moment(t.EnrolledAt)})
			if !t.CompletedAt.IsZero() {
				r.History = append(r.History, Interaction{r.User, t.Course, Complete, Moment(t.CompletedAt)})
			}
		case t.Status == courses.Waiting:
			r.Exclude = append(r.Exclude, t.Course)
		default:
			ended[t.Course] = true
		}
	}
	r.Exclude = append(r.Exclude, audience.Own...)
	if s.c.Store == nil {
		return r, nil
	}
	records, err := s.c.Store.History(ctx, r.User, MaxHistoryRead)
	if err != nil {
		return r, err
	}
	for _, x := range records {
		if !ended[x.Course] || !x.Kind.begun() {
			r.History = append(r.History, x.Interaction)
		}
	}
	dismissed, err := s.c.Store.Dismissed(ctx, r.User, MaxDismissed)
	if err != nil {
		return r, err
	}
	r.Exclude = append(r.Exclude, dismissed...)
	growths, err := s.c.Store.Growths(ctx, r.User, MaxPreference)
	r.Preferences = make(map[string]float64, len(growths))
	for _, g := range growths {
		r.Preferences[key(g.Category)] = g.weight(now)
	}
	return r, err
}

// barred returns the courses that a request is not answered with.
func barred(r Request) map[courses.CourseID]bool {
	out := map[courses.CourseID]bool{}
	for _, id := range r.Exclude {
		out[id] = true
	}
	for _, i := range r.History {
		if i.Kind.begun() {
			out[i.Course] = true
		}
	}
	return out
}

// published asks a model until there are limit courses that are published now.
func (s *Service) published(ctx context.Context, by core.Actor, variant string, limit int, exclude []courses.CourseID, ask func(exclude []courses.CourseID) ([]Scored, error)) (List, error) {
	list := List{Items: []Recommendation{}, Variant: variant}
	exclude = slices.Clone(exclude)
	var reasons []Reason
	for round := 0; round < rounds && len(list.Items) < limit; round++ {
		scored, err := ask(exclude)
		if err != nil {
			return List{}, err
		}
		ids := make([]courses.CourseID, 0, 2*len(scored))
		for _, x := range scored {
			ids = append(ids, x.Course)
			if x.Reason.Course != 0 {
				ids = append(ids, x.Reason.Course)
			}
		}
		slices.Sort(ids)
		found, err := s.c.Courses.ByID(ctx, by, slices.Compact(ids))
		if err != nil {
			return List{}, err
		}
		for _, x := range scored {
			exclude = append(exclude, x.Course)
			c, there := found[x.Course]
			if !there || c.Status != courses.Published || len(list.Items) == limit {
				continue
			}
			item := Recommendation{Course: c.Course, Score: x.Score, Parts: x.Parts, Reason: Explanation{Kind: x.Reason.Kind}}
			if because, there := found[x.Reason.Course]; there && because.Visible {
				item.Reason.Course = because.Course
			}
			list.Items, reasons = append(list.Items, item), append(reasons, x.Reason)
		}
		if len(scored) < limit+spare {
			break // the model has no more
		}
	}
	return list, s.nameCategories(ctx, list.Items, reasons)
}

// nameCategories names the categories of reasons by one statement.
func (s *Service) nameCategories(ctx context.Context, items []Recommendation, reasons []Reason) error {
	var ids []courses.CategoryID
	for _, r := range reasons {
		if id := categoryOf(r.Category); id != 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	named, err := s.c.Courses.CategoriesByID(ctx, slices.Compact(ids))
	for i, r := range reasons {
		items[i].Reason.Category = named[categoryOf(r.Category)]
	}
	return err
}

// popular returns the courses that most take, for who asks before there is a model: of the
// first core.MaxLimit of them.
func (s *Service) popular(ctx context.Context, by core.Actor, filter courses.Filter, limit int, barred map[courses.CourseID]bool) (List, error) {
	page, err := s.c.Courses.List(ctx, by, filter, courses.Popular, core.Page{Limit: core.MaxLimit})
	if err != nil {
		return List{}, err
	}
	list := List{Items: []Recommendation{}, Variant: popularVariant}
	for _, c := range page.Items {
		if barred[c.ID] || len(list.Items) == limit {
			continue
		}
		score := float64(c.Stats.Students)
		list.Items = append(list.Items, Recommendation{Course: c.Course, Score: score, Parts: []Part{{"students", score}}, Reason: Explanation{Kind: BecausePopular}})
	}
	return list, nil
}
