package storagetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/fulltext"
	"github.com/ustat/ustat/storage"
)

// filters are all single conditions and some of them together.
func filters(r *rand.Rand, sh shelf) map[string]courses.ListQuery {
	minor := func(n int64) *int64 { return &n }
	cat := func(i int) courses.CategoryID { return sh.categories[i].ID }
	out := map[string]courses.ListQuery{
		"no condition":                  {},
		"a category":                    {Categories: []courses.CategoryID{cat(0)}},
		"two categories":                {Categories: []courses.CategoryID{cat(1), cat(2)}},
		"an unknown category":           {Categories: []courses.CategoryID{404}},
		"a tag":                         {Tag: sh.tags[1].ID},
		"a teacher":                     {Teacher: sh.teachers[1]},
		"an unknown teacher":            {Teacher: 1 << 40},
		"nobody's courses":              {Teachers: []core.UserID{}},
		"courses of some":               {Teachers: sh.teachers[:2]},
		"a teacher that some are not":   {Teacher: sh.teachers[0], Teachers: sh.teachers[1:]},
		"a base language":               {Language: "ru"},
		"a language that starts others": {Language: "r"},
		"a language with a region":      {Language: "en-GB"},
		"a currency":                    {Currency: "USD"},
		"an unknown currency":           {Currency: "JPY"},
		"a least price":                 {PriceMin: minor(500)},
		"a most price":                  {PriceMax: minor(100)},
		"a price of nothing":            {PriceMax: minor(0)},
		"prices of a currency":          {Currency: "RUB", PriceMin: minor(100), PriceMax: minor(100000)},
		"a rating":                      {RatingMin: 350},
		"the best rating":               {RatingMin: 500},
		"a term":                        {Terms: fulltext.Query("курс")},
		"two terms":                     {Terms: fulltext.Query("программирование c++")},
		"a term, a tag and a teacher":   {Terms: fulltext.Query("данных"), Tag: sh.tags[0].ID, Teacher: sh.teachers[0]},
		"a category, a tag, a teacher, a language": {Categories: []courses.CategoryID{cat(0), cat(1)}, Tag: sh.tags[2].ID, Teacher: sh.teachers[2], Language: "en"},
		"a tag and prices":                         {Tag: sh.tags[3].ID, Currency: "RUB", PriceMin: minor(100)},
		"a tag, a category and a rating":           {Tag: sh.tags[0].ID, Categories: []courses.CategoryID{cat(2)}, RatingMin: 300},
	}
	for i := range size(20, 5) {
		q := courses.ListQuery{}
		for _, set := range []func(){
			func() { q.Categories = []courses.CategoryID{cat(r.IntN(3))} },
			func() { q.Tag = sh.tags[r.IntN(4)].ID },
			func() { q.Teacher = sh.teachers[r.IntN(3)] },
			func() { q.Language = []string{"ru", "en"}[r.IntN(2)] },
			func() { q.Currency = []string{"RUB", "USD"}[r.IntN(2)] },
			func() { q.PriceMin = minor(r.Int64N(600)) },
			func() { q.RatingMin = 100 + r.IntN(401) },
			func() { q.Terms = fulltext.Query(words[r.IntN(len(words))]) },
		} {
			if r.IntN(4) == 0 {
				set()
			}
		}
		out[fmt.Sprint("random conditions ", i)] = q
	}
	return out
}

func (s suite) lists() {
	s.run("every sort with every filter visits each course once, in order, on pages of any size", func(t *testing.T, b *storage.Backend) {
		r := random(t)
		sh, all := s.stock(t, b, r, size(300, 80))
		for name, q := range filters(r, sh) {
			for i, sort := range courses.Sorts {
				if sort == courses.Relevance && len(q.Terms) == 0 {
					continue
				}
				q.Sort = sort
				q.Status = courses.Published
				if r.IntN(4) == 0 {
					q.Status = courses.Statuses[r.IntN(len(courses.Statuses))]
				}
				want := answer(q, all)
				got := walk(t, r, b, q, nil)
				require.Equal(t, slugs(want), slugs(got), "%s by %s of %s", name, sort, q.Status)
				if len(want) > 0 {
					require.Equal(t, want, got, "%s by %s of %s", name, sort, q.Status)
				}
				if i > 0 && size(1, 0) == 0 {
					continue
				}
				aside := q
				aside.Limit = 1
				if len(want) > 0 {
					aside.After = &want[0].Position
				}
				count, err := b.Courses.CountCourses(timeout(t), aside)
				require.NoError(t, err)
				require.Equal(t, len(want), count, "CountCourses has the length of the walk: %s", name)
			}
		}
	})
	s.run("a walk visits what was there exactly once while rows are inserted between its pages", func(t *testing.T, b *storage.Backend) {
		r := random(t)
		sh, all := s.stock(t, b, r, size(120, 50))
		next := 0
		for _, sort := range courses.Sorts {
			for _, q := range []courses.ListQuery{{}, {Tag: sh.tags[0].ID}, {Terms: fulltext.Query("курс")}} {
				if sort == courses.Relevance && len(q.Terms) == 0 {
					continue
				}
				q.Sort, q.Status = sort, courses.Published
				var added []courses.Course
				got := walk(t, r, b, q, func() {
					if next++; next%2 == 0 {
						return
					}
					fresh := randomCourses(t, r, sh, 2)
					for i := range fresh {
						fresh[i].Slug = fmt.Sprintf("fresh-%d-%d", next, i)
					}
					for i, c := range insertCourses(t, b, fresh...) {
						fresh[i].ID = c.ID
						added = append(added, fresh[i])
					}
				})
				old := map[string]bool{}
				for _, c := range all {
					old[c.Slug] = true
				}
				var kept []courses.Hit
				seen := map[string]bool{}
				for _, h := range got {
					require.False(t, seen[h.Course.Slug], "%s comes twice by %s", h.Course.Slug, sort)
					seen[h.Course.Slug] = true
					if old[h.Course.Slug] {
						kept = append(kept, h)
					}
				}
				require.Equal(t, slugs(answer(q, all)), slugs(kept), "by %s", sort)
				all = append(all, added...)
			}
		}
	})
	s.run("a change of a course is seen by every list at once", func(t *testing.T, b *storage.Backend) {
		r := random(t)
		sh, all := s.stock(t, b, r, 40)
		changed := randomCourses(t, r, sh, len(all))
		for i := range changed {
			changed[i].ID, changed[i].Slug, changed[i].Stats = all[i].ID, all[i].Slug, all[i].Stats
		}
		require.NoError(t, updateCourses(t, b, changed...))
		for name, q := range filters(r, sh) {
			for _, sort := range courses.Sorts {
				if sort == courses.Relevance && len(q.Terms) == 0 {
					continue
				}
				q.Sort, q.Status = sort, courses.Published
				require.Equal(t, slugs(answer(q, changed)), slugs(walk(t, r, b, q, nil)), "%s by %s", name, sort)
			}
		}
	})
}
