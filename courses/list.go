package courses

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses/fulltext"
	"github.com/ustat/ustat/courses/richtext"
)

// Result is a course of a list.
type Result struct {
	Course
	// Snippet is the part of the description around what was searched for; empty
	// without a query.
	Snippet string
}

// List returns a page of the courses that the actor may see, in the order of
// sort (zero: Relevance with a query, else Newest). Three statements, and one
// for each of category, tag, teacher and currency that must be looked up.
//
// It fails with core.ErrInvalid naming the field for a filter out of its bounds
// or one that names nothing, with ErrNeedCurrency, and with core.ErrCursor for a
// cursor of another list. A query without a word finds nothing.
func (s *Service) List(ctx context.Context, by core.Actor, filter Filter, sort Sort, page core.Page) (Page[Result], error) {
	ctx = core.WithOperation(ctx, "courses.List")
	if sort == "" {
		sort = Newest
		if filter.Query != "" {
			sort = Relevance
		}
	}
	q, list, err := s.plan(ctx, by, filter, sort)
	if err != nil {
		return Page[Result]{}, err
	}
	hits, err := core.ReadPage(s.cursors, list, page,
		func(after *Position, limit int) ([]Hit, error) {
			if q.nothing(filter) {
				return nil, nil
			}
			q.After, q.Limit = after, limit
			return s.store.ListCourses(ctx, q)
		},
		func(h Hit) *Position { return &h.Position })
	if err != nil {
		return Page[Result]{}, err
	}
	found := make([]Course, len(hits.Items))
	editable := scope{all: q.Teachers == nil, teachers: q.Teachers} // the others are published, or the actor learns in them
	for i, h := range hits.Items {
		found[i] = h.Course
		editable.shown(&found[i])
	}
	if err := s.nameTeachers(ctx, found); err != nil {
		return Page[Result]{}, err
	}
	out := Page[Result]{Items: make([]Result, len(found)), Next: hits.Next}
	for i, c := range found {
		out.Items[i].Course = c
		if len(q.Terms) > 0 {
			out.Items[i].Snippet = fulltext.Snippet(richtext.Text(c.Description), q.Terms, 240)
		}
	}
	return out, nil
}

// Count returns how many courses List goes through.
func (s *Service) Count(ctx context.Context, by core.Actor, filter Filter) (int, error) {
	ctx = core.WithOperation(ctx, "courses.Count")
	q, _, err := s.plan(ctx, by, filter, Newest)
	if err != nil || q.nothing(filter) {
		return 0, err
	}
	return s.store.CountCourses(ctx, q)
}

// Top returns up to limit published courses by rating, best first: the Bayesian
// mean of Stats.RatingRank, unrated ones never. Limit is 1 to core.MaxLimit; zero
// means core.DefaultLimit.
func (s *Service) Top(ctx context.Context, limit int) ([]Course, error) {
	ctx = core.WithOperation(ctx, "courses.Top")
	limit, err := core.Page{Limit: limit}.Size()
	if err != nil {
		return nil, err
	}
	hits, err := s.store.ListCourses(ctx, ListQuery{Status: Published, Sort: Rating, Limit: limit})
	if err != nil {
		return nil, err
	}
	top := make([]Course, 0, len(hits))
	for _, h := range hits {
		if h.Course.Stats.ReviewCount > 0 {
			h.Course.refresh()
			top = append(top, h.Course)
		}
	}
	return top, s.nameTeachers(ctx, top)
}

// nothing reports whether it is known without a statement that the list is empty.
func (q *ListQuery) nothing(f Filter) bool {
	return f.Query != "" && len(q.Terms) == 0 || q.isEmpty()
}

// plan checks a filter and resolves its names. The list it returns is what a cursor is
// bound to.
func (s *Service) plan(ctx context.Context, by core.Actor, f Filter, sort Sort) (ListQuery, string, error) {
	if f.Status == "" {
		f.Status = Published
	}
	f.Language = *languagePtr(&f.Language)
	q := ListQuery{
		Status: f.Status, Language: f.Language, Currency: f.Currency,
		PriceMin: f.PriceMin, PriceMax: f.PriceMax, RatingMin: f.RatingMin, Sort: sort,
	}
	if err := f.check(sort); err != nil {
		return q, "", err
	}
	if q.Terms = fulltext.Query(f.Query); len(q.Terms) > MaxTerms {
		return q, "", core.Invalid("q", "max", strconv.Itoa(MaxTerms)+" words", strconv.Itoa(len(q.Terms))+" words", "the query has too many words")
	}
	may, err := s.scope(ctx, by)
	if err != nil {
		return q, "", err
	}
	q.Teachers, q.Seated = may.teachersOf(f.Status, f.Editable)
	if q.isEmpty() {
		return q, "", nil // nothing is visible, whatever else is asked
	}
	if err := s.lookUp(ctx, f, &q); err != nil {
		return q, "", err
	}
	bound, err := json.Marshal([]any{"courses", sort, f, q.Currency, q.Teachers, q.Seated})
	if err != nil {
		return q, "", core.ErrInternal.Because(err)
	}
	return q, string(bound), nil
}

// isEmpty reports whether nobody's courses are asked for.
func (q *ListQuery) isEmpty() bool { return q.Teachers != nil && len(q.Teachers) == 0 && q.Seated == 0 }

func (f Filter) check(sort Sort) error {
	var bad []core.Violation
	refuse := func(field, code, limit, got, message string) {
		bad = append(bad, core.Invalid(field, code, limit, got, message).Violations...)
	}
	if !slices.Contains(Sorts[:], sort) {
		refuse("sort", "oneof", fmt.Sprint(Sorts), string(sort), "there is no such sort")
	}
	if sort == Relevance && f.Query == "" {
		refuse("sort", "needs_query", "", string(sort), "sorting by relevance needs a query")
	}
	if !slices.Contains(Statuses[:], f.Status) {
		refuse("status", "oneof", fmt.Sprint(Statuses), string(f.Status), "there is no such status")
	}
	if len(f.Query) > MaxQuery {
		refuse("q", "max", strconv.Itoa(MaxQuery), strconv.Itoa(len(f.Query))+" bytes", "the query is too long")
	}
	if f.Currency != "" && (len(f.Currency) != 3 || strings.Trim(f.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		refuse("currency", "iso4217", "", f.Currency, "three capital letters are expected")
	}
	if f.PriceMin != nil && f.PriceMax != nil && *f.PriceMin > *f.PriceMax {
		refuse("price_min", "max", strconv.FormatInt(*f.PriceMax, 10), strconv.FormatInt(*f.PriceMin, 10), "the least price is above the greatest")
	}
	if f.RatingMin != 0 && (f.RatingMin < 100 || f.RatingMin > 500) {
		refuse("rating_min", "range", "1-5", strconv.Itoa(f.RatingMin), "a rating is between 1 and 5")
	}
	for _, f := range []struct{ field, value string }{
		{"q", f.Query}, {"category", f.Category}, {"tag", f.Tag}, {"teacher", f.Teacher}, {"language", f.Language}, {"currency", f.Currency},
	} {
		if !core.ValidText(f.value) {
			refuse(f.field, "text", "", f.value, "valid UTF-8 without NUL is expected")
		} else if f.field != "q" && len(f.value) > 128 {
			refuse(f.field, "max", "128", f.value, "the value is too long")
		}
	}
	if bad != nil {
		return core.ErrInvalid.With(bad...)
	}
	return nil
}

func (s *Service) lookUp(ctx context.Context, f Filter, q *ListQuery) error {
	unknown := func(field, got string) error {
		return core.Invalid(field, "unknown", "", got, "there is no such "+field)
	}
	if f.Category != "" {
		ids, err := s.store.Subtree(ctx, f.Category)
		if core.KindOf(err) == core.KindNotFound {
			return unknown("category", f.Category)
		} else if err != nil {
			return err
		}
		q.Categories = ids
	}
	if f.Tag != "" {
		tags, err := s.store.TagsBySlug(ctx, []string{f.Tag})
		if err != nil {
			return err
		}
		if len(tags) == 0 {
			return unknown("tag", f.Tag)
		}
		q.Tag = tags[0].ID
	}
	if f.Teacher != "" {
		u, err := s.users.UserByUsername(ctx, f.Teacher)
		if core.KindOf(err) == core.KindNotFound {
			return unknown("teacher", f.Teacher)
		} else if err != nil {
			return err
		}
		q.Teacher = u.ID
	}
	byPrice := f.PriceMin != nil || f.PriceMax != nil || q.Sort == PriceUp || q.Sort == PriceDown
	if byPrice && f.Currency == "" {
		currencies, err := s.store.Currencies(ctx, f.Status)
		if err != nil {
			return err
		}
		if len(currencies) > 1 {
			return ErrNeedCurrency
		}
		if len(currencies) == 1 {
			q.Currency = currencies[0]
		}
	}
	return nil
}
