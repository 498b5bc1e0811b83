package ustat

import (
	"context"
	"iter"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/recommend"
	"github.com/ustat/ustat/storage"
)

// catalogue implements recommend.Catalogue by walks through the stores, a page at a time.
type catalogue struct{ backend *storage.Backend }

// walkPage is how many rows are read at once.
const walkPage = 1000

// pages yields the rows of all pages; next returns the page behind a row, nil for the first.
func pages[T any](next func(last *T) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var last *T
		for {
			page, err := next(last)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			if len(page) < walkPage {
				return
			}
			last = &page[len(page)-1]
		}
	}
}

// tree is every category with the one above it.
type tree map[courses.CategoryID]courses.CategoryID

func (c catalogue) tree(ctx context.Context) (tree, error) {
	above := tree{}
	for category, err := range pages(func(last *courses.Category) ([]courses.Category, error) {
		after := ""
		if last != nil {
			after = last.Slug
		}
		return c.backend.Courses.Categories(ctx, after, walkPage)
	}) {
		if err != nil {
			return nil, err
		}
		above[category.ID] = category.ParentID
	}
	return above, nil
}

// keys returns the keys of a category and those above it, the broadest first.
func (t tree) keys(id courses.CategoryID) []string {
	const deepest = 64 // an end even on a cycle
	var keys []string
	for ; id != 0 && len(keys) < deepest; id = t[id] {
		keys = append([]string{recommend.CategoryKey(id)}, keys...)
	}
	return keys
}

// item returns what models are told of a course, and false of one that was never published.
func (t tree) item(c *courses.Course) (recommend.Item, bool) {
	concepts := make([]string, len(c.Tags))
	for i, tag := range c.Tags {
		concepts[i] = tag.Name
	}
	return recommend.Item{
		ID: c.ID, Title: c.Title, Categories: t.keys(c.Category.ID), Language: c.Language, Concepts: concepts, Teacher: c.Teacher.ID,
		Published: c.PublishedAt, Ratings: c.Stats.ReviewCount, Stars: c.Stats.RatingSum, Unlisted: c.Status != courses.Published,
	}, c.Status == courses.Published || !c.PublishedAt.IsZero()
}

// Items implements recommend.Source.
func (c catalogue) Items(ctx context.Context) iter.Seq2[recommend.Item, error] {
	return func(yield func(recommend.Item, error) bool) {
		above, err := c.tree(ctx)
		if err != nil {
			yield(recommend.Item{}, err)
			return
		}
		for course, err := range pages(func(last *courses.Course) ([]courses.Course, error) {
			after := ""
			if last != nil {
				after = last.Slug
			}
			return c.backend.Courses.CoursesAfter(ctx, after, walkPage)
		}) {
			item, published := above.item(&course)
			if err == nil && !published {
				continue
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// Item implements recommend.Catalogue.
func (c catalogue) Item(ctx context.Context, id courses.CourseID) (recommend.Item, bool, error) {
	found, err := c.backend.Courses.CoursesByID(ctx, []courses.CourseID{id})
	if err != nil || len(found) == 0 {
		return recommend.Item{}, false, err
	}
	above, err := c.tree(ctx)
	if err != nil {
		return recommend.Item{}, false, err
	}
	item, published := above.item(&found[0])
	return item, published, nil
}

// Newest implements recommend.Catalogue.
func (c catalogue) Newest(ctx context.Context) ([]recommend.Item, error) {
	hits, err := c.backend.Courses.ListCourses(ctx, courses.ListQuery{Status: courses.Published, Sort: courses.Newest, Limit: core.MaxLimit})
	if err != nil || len(hits) == 0 {
		return nil, err
	}
	above, err := c.tree(ctx)
	if err != nil {
		return nil, err
	}
	items := make([]recommend.Item, len(hits))
	for i := range hits {
		items[i], _ = above.item(&hits[i].Course)
	}
	return items, nil
}

// Interactions implements recommend.Source: what is recorded, and the enrollments, which are
// there also where an import has sent no event of each. Nothing is read of a learner from
// before all was erased that they did.
func (c catalogue) Interactions(ctx context.Context) iter.Seq2[recommend.Interaction, error] {
	return func(yield func(recommend.Interaction, error) bool) {
		erased, err := c.erased(ctx)
		if err != nil {
			yield(recommend.Interaction{}, err)
			return
		}
		for i, err := range merged(c.recorded(ctx), c.enrolled(ctx)) {
			if until, gone := erased[i.User]; err == nil && gone && i.At.UnixMicro() <= until {
				continue
			}
			if !yield(i, err) || err != nil {
				return
			}
		}
	}
}

// erased returns when all was erased that learners did, in microseconds since 1970.
func (c catalogue) erased(ctx context.Context) (map[core.UserID]int64, error) {
	at := map[core.UserID]int64{}
	if c.backend.Recommend == nil {
		return at, nil
	}
	for after := recommend.Position(0); ; {
		list, next, err := c.backend.Recommend.Removals(ctx, time.Time{}, after, walkPage)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			if r.Course == 0 {
				at[r.User] = max(at[r.User], r.At.UnixMicro())
			}
		}
		if after = next; len(list) < walkPage {
			return at, nil
		}
	}
}

// recorded yields the interactions of the store, by learner.
func (c catalogue) recorded(ctx context.Context) iter.Seq2[recommend.Interaction, error] {
	return func(yield func(recommend.Interaction, error) bool) {
		if c.backend.Recommend == nil {
			return
		}
		for r, err := range pages(func(last *recommend.Record) ([]recommend.Record, error) {
			var after recommend.Record
			if last != nil {
				after = *last
			}
			return c.backend.Recommend.RecordsAfter(ctx, after, walkPage)
		}) {
			if !yield(r.Interaction, err) {
				return
			}
		}
	}
}

// enrolled yields what enrollments that hold a seat say, by learner.
func (c catalogue) enrolled(ctx context.Context) iter.Seq2[recommend.Interaction, error] {
	return func(yield func(recommend.Interaction, error) bool) {
		for t, err := range pages(func(last *courses.Taken) ([]courses.Taken, error) {
			var after courses.Taken
			if last != nil {
				after = *last
			}
			return c.backend.Courses.TakenAfter(ctx, after, walkPage)
		}) {
			i := recommend.Interaction{User: t.User, Course: t.Course, Kind: recommend.Start, At: recommend.Moment(t.EnrolledAt)}
			if err == nil && !t.Status.Seated() {
				continue
			}
			if !yield(i, err) || err != nil {
				return
			}
			if i.Kind, i.At = recommend.Complete, recommend.Moment(t.CompletedAt); !t.CompletedAt.IsZero() && !yield(i, nil) {
				return
			}
		}
	}
}

// merged yields two sequences that are in order of learners as one that is.
func merged(a, b iter.Seq2[recommend.Interaction, error]) iter.Seq2[recommend.Interaction, error] {
	return func(yield func(recommend.Interaction, error) bool) {
		nextA, stopA := iter.Pull2(a)
		defer stopA()
		nextB, stopB := iter.Pull2(b)
		defer stopB()
		x, errX, moreX := nextA()
		y, errY, moreY := nextB()
		for moreX || moreY {
			if moreX && (!moreY || x.User <= y.User || errX != nil) {
				if !yield(x, errX) {
					return
				}
				x, errX, moreX = nextA()
				continue
			}
			if !yield(y, errY) {
				return
			}
			y, errY, moreY = nextB()
		}
	}
}
