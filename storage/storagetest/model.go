package storagetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/fulltext"
	"github.com/ustat/ustat/storage"
)

// matches is the model of courses.ListQuery's conditions.
func matches(q courses.ListQuery, c courses.Course) bool {
	tagged := slices.ContainsFunc(c.Tags, func(t courses.Tag) bool { return t.ID == q.Tag })
	return c.Status == q.Status &&
		(len(q.Categories) == 0 || slices.Contains(q.Categories, c.Category.ID)) &&
		(q.Tag == 0 || tagged) &&
		(q.Teacher == 0 || c.Teacher.ID == q.Teacher) &&
		(q.Teachers == nil || slices.Contains(q.Teachers, c.Teacher.ID)) &&
		(q.Language == "" || c.Language == q.Language || strings.HasPrefix(c.Language, q.Language+"-")) &&
		(q.Currency == "" || c.Price.Currency == q.Currency) &&
		(q.PriceMin == nil || c.Price.Minor >= *q.PriceMin) &&
		(q.PriceMax == nil || c.Price.Minor <= *q.PriceMax) &&
		(q.RatingMin == 0 || (c.Stats.ReviewCount > 0 && 100*c.Stats.RatingSum >= int64(q.RatingMin)*c.Stats.ReviewCount)) &&
		containsAll(append(titleAndTags(c), fulltext.Terms(c.Description)...), q.Terms)
}

func titleAndTags(c courses.Course) []string {
	terms := fulltext.Terms(c.Title)
	for _, tag := range c.Tags {
		terms = append(terms, fulltext.Terms(tag.Name)...)
	}
	return terms
}

func containsAll(have, want []string) bool {
	for _, term := range want {
		if !slices.Contains(have, term) {
			return false
		}
	}
	return true
}

// position is the model of courses.Position.
func position(q courses.ListQuery, c courses.Course) courses.Position {
	keys := map[courses.Sort][]int64{
		courses.Newest:    {c.CreatedAt.UnixMicro()},
		courses.Rating:    {c.Stats.RatingRank()},
		courses.PriceUp:   {c.Price.Minor},
		courses.PriceDown: {c.Price.Minor},
		courses.Popular:   {c.Stats.Students},
	}[q.Sort]
	if q.Sort == courses.Relevance {
		field := int64(0)
		title := fulltext.Terms(c.Title)
		switch {
		case containsAll(title, q.Terms):
			field = 2
		case containsAll(titleAndTags(c), q.Terms):
			field = 1
		}
		keys = []int64{field, c.Stats.RatingRank(), int64(len(title))}
	}
	return courses.Position{Keys: keys, ID: int64(c.ID)}
}

func before(sort courses.Sort, a, b courses.Position) int {
	for i := range a.Keys {
		order := cmp.Compare(b.Keys[i], a.Keys[i])
		if sort == courses.PriceUp || (sort == courses.Relevance && i == 2) {
			order = -order
		}
		if order != 0 {
			return order
		}
	}
	if sort == courses.PriceUp {
		return cmp.Compare(a.ID, b.ID)
	}
	return cmp.Compare(b.ID, a.ID)
}

// answer is what a store must say to q, its page aside.
func answer(q courses.ListQuery, all []courses.Course) []courses.Hit {
	var hits []courses.Hit
	for _, c := range all {
		if matches(q, c) {
			hits = append(hits, courses.Hit{Course: plain(c), Position: position(q, c)})
		}
	}
	slices.SortFunc(hits, func(a, b courses.Hit) int { return before(q.Sort, a.Position, b.Position) })
	return hits
}

// words are what titles are made of, forms of the same words among them.
var words = strings.Fields("курс курсы курсов программирование программирования на языке go sql c++ c# .net базы данных database databases design designing тёмный темный learning the and и для и 3d web")

func randomCourses(t testing.TB, r *rand.Rand, sh shelf, n int) []courses.Course {
	t.Helper()
	pick := func(n int) string {
		var out []string
		for range n {
			out = append(out, words[r.IntN(len(words))])
		}
		return strings.Join(out, " ")
	}
	list := make([]courses.Course, n)
	for i := range list {
		c := course(fmt.Sprintf("course-%d", i), sh.teachers[r.IntN(3)])
		c.Title, c.Description, c.Requirements = pick(1+r.IntN(5)), pick(r.IntN(12)), ""
		c.Language = []string{"", "ru", "ru-RU", "en", "en-GB", "rue", "r", "e"}[r.IntN(8)]
		c.Status = courses.Statuses[min(r.IntN(8)/2, 3)]
		if r.IntN(2) == 0 {
			c.Status = courses.Published
		}
		c.Price = core.Money{Minor: []int64{0, 100, 100, 500, 500, 100000, 1 << 50}[r.IntN(7)], Currency: []string{"RUB", "RUB", "USD"}[r.IntN(3)]}
		// Few different times, so that ids break ties.
		c.CreatedAt = day.Add(time.Duration(r.IntN(20)) * time.Microsecond).Add(time.Duration(r.IntN(3)) * time.Hour)
		if category := r.IntN(4); category < 3 {
			c.Category = sh.categories[category]
		}
		for _, tag := range sh.tags {
			if r.IntN(3) == 0 {
				c.Tags = append(c.Tags, tag)
			}
		}
		list[i] = c
	}
	return list
}

// stock fills a storage with random courses and returns them as they are stored.
func (s suite) stock(t testing.TB, b *storage.Backend, r *rand.Rand, n int) (shelf, []courses.Course) {
	t.Helper()
	sh := newShelf(t, b)
	list := randomCourses(t, r, sh, n)
	for i, c := range insertCourses(t, b, list...) {
		list[i].ID = c.ID
		if s.limits.SetStats != nil && r.IntN(3) > 0 {
			stats := courses.Stats{ReviewCount: r.Int64N(4), Students: r.Int64N(5)}
			for range stats.ReviewCount {
				stats.RatingSum += 1 + r.Int64N(5)
			}
			s.limits.SetStats(t, b, c.ID, stats)
			list[i].Stats = stats
		}
	}
	return sh, list
}

// walk reads a list to its end by pages of random sizes.
func walk(t testing.TB, r *rand.Rand, b *storage.Backend, q courses.ListQuery, between func()) []courses.Hit {
	t.Helper()
	var hits []courses.Hit
	most := 3 + r.IntN(60)
	for range 10_000 {
		q.Limit = 1 + r.IntN(most)
		ctx, queries := storage.CountQueries(timeout(t))
		page, err := b.Courses.ListCourses(ctx, q)
		require.NoError(t, err)
		require.LessOrEqual(t, queries.Count(), 2, "ListCourses is at most two statements")
		require.LessOrEqual(t, len(page), q.Limit)
		if len(page) == 0 {
			return hits
		}
		for _, h := range page {
			h.Course = plain(h.Course)
			hits = append(hits, h)
		}
		q.After = &hits[len(hits)-1].Position
		if between != nil {
			between()
		}
	}
	require.FailNow(t, "the walk does not end")
	return nil
}

func slugs(hits []courses.Hit) []string {
	out := make([]string, len(hits))
	for i, h := range hits {
		out[i] = h.Course.Slug
	}
	return out
}
