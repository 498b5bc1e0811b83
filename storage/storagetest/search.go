package storagetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/fulltext"
	"github.com/ustat/ustat/storage"
)

// find returns the slugs that a person's query finds, in the order of relevance.
func find(t testing.TB, b *storage.Backend, query string) []string {
	t.Helper()
	terms := fulltext.Query(query)
	if len(terms) == 0 {
		return nil
	}
	q := courses.ListQuery{Status: courses.Published, Terms: terms, Sort: courses.Relevance, Limit: 100}
	hits, err := b.Courses.ListCourses(timeout(t), q)
	require.NoError(t, err, "%q", query)
	count, err := b.Courses.CountCourses(timeout(t), q)
	require.NoError(t, err, "%q", query)
	require.Equal(t, len(hits), count, "%q", query)
	return slugs(hits)
}

func (s suite) search() {
	// titled stores one course a title, named by its number.
	titled := func(t *testing.T, b *storage.Backend, titles ...string) []courses.Course {
		sh := newShelf(t, b)
		var list []courses.Course
		for i, title := range titles {
			c := course(fmt.Sprint("c-", i), sh.teachers[0])
			c.Title, c.Description, c.Requirements = title, "", ""
			list = append(list, c)
		}
		return insertCourses(t, b, list...)
	}
	sorted := func(slugs []string) []string { return slices.Sorted(slices.Values(slugs)) }

	s.run("forms of a word find each other", func(t *testing.T, b *storage.Backend) {
		titled(t, b, "Курсы программирования", "курс о программировании", "КУРСОВ", "Тёмная материя", "Learning databases", "learned DATABASE")
		for query, want := range map[string][]string{
			"курс": {"c-0", "c-1", "c-2"}, "курсами": {"c-0", "c-1", "c-2"}, "программирование курсы": {"c-0", "c-1"},
			"темной": {"c-3"}, "ТЁМНЫЙ": {"c-3"}, "learn database": {"c-4", "c-5"}, "кур": nil, "курс database": nil,
		} {
			require.Equal(t, want, sorted(find(t, b, query)), query)
		}
	})
	s.run("a course is indexed by the names that its tags have, whatever it is handed", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		c := course("c-0", sh.teachers[0])
		c.Tags = []courses.Tag{{ID: sh.tags[0].ID, Slug: "tag-1", Name: "outdated"}}
		c = insertCourses(t, b, c)[0]
		require.Empty(t, find(t, b, "outdated"))
		require.Equal(t, []string{"c-0"}, find(t, b, "analysis"))
		c.Tags = []courses.Tag{{ID: sh.tags[1].ID, Slug: "tag-2", Name: "outdated"}}
		require.NoError(t, updateCourses(t, b, c))
		require.Empty(t, find(t, b, "outdated"))
		require.Equal(t, []string{"c-0"}, find(t, b, "backend"))
	})
	s.run("c++, c# and .net are words of their own", func(t *testing.T, b *storage.Backend) {
		titled(t, b, "C++ for all", "C# for all", "C for all", ".NET for all", "Net for all", "F# and C#")
		for query, want := range map[string][]string{
			"c++": {"c-0"}, "C#": {"c-1", "c-5"}, "c": {"c-2"}, ".net": {"c-3"}, "net": {"c-4"}, "f# c#": {"c-5"},
		} {
			require.Equal(t, want, sorted(find(t, b, query)), query)
		}
	})
	s.run("a query of stop words, odd or quoted characters is answered without an error", func(t *testing.T, b *storage.Backend) {
		titled(t, b, "Plain", "To be or not to be", "Rock'n'roll 'quoted' \"twice\"", "中文 kurs", "emoji 🎓", "title:plain", "a\\b")
		queries := append(slices.Clone(awkward),
			"the", "и", "AND", "OR NOT", "NEAR(a b)", "a AND", "*", "plain*", "\"plain", "'plain'", "plain' OR '1'='1", "title: plain", "{title tags}: plain", "^plain", "-plain",
			"plain:*", "plain & !x", "(plain", "a|b", "<->", "a <2> b", "\\", "a\\", "%", "_", "?", "$1", ":x", "🎓", "中文", "٣", "…", "a+b", "+++", "###", "...", "c+++", "'", "''", "\"\"", "ё", "\u0301", "ﬁ", strings.Repeat("длинное", 200), strings.Repeat("слово ", 80))
		for _, query := range queries {
			find(t, b, query)
			// And a store takes any text for a term.
			if query == "" || len(query) > fulltext.MaxTermBytes {
				continue
			}
			for _, sort := range []courses.Sort{courses.Relevance, courses.Newest} {
				_, err := b.Courses.ListCourses(timeout(t), courses.ListQuery{Status: courses.Published, Terms: []string{query}, Sort: sort, Limit: 5})
				require.NoError(t, err, "the term %q", query)
			}
		}
		for query, want := range map[string][]string{"plain": {"c-0", "c-5"}, "to be": {"c-1"}, "'quoted'": {"c-2"}, "文": {"c-3"}, "🎓": {"c-4"}} {
			require.Equal(t, want, sorted(find(t, b, query)), query)
		}
	})
	s.run("relevance puts the title before the tags before the rest, then short titles and new courses", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		add := func(slug, title, description string, tags ...courses.Tag) {
			c := course(slug, sh.teachers[0])
			c.Title, c.Description, c.Tags = title, description, tags
			insertCourses(t, b, c)
		}
		backend := sh.tags[1]
		add("rest", "Other", "about a backend in go")
		add("title-long", "The backend of a shop in go and sql", "")
		add("title-and-tag", "Go", "", backend)
		add("tag-and-rest", "Some", "go", backend)
		add("title-old", "Go backend", "")
		add("title-new", "Backend go", "")
		add("one-term", "Backend", "")
		require.Equal(t, []string{"title-new", "title-old", "title-long", "title-and-tag", "tag-and-rest", "rest"}, find(t, b, "go backend"))
		if s.limits.SetStats != nil {
			c := bySlug(t, b, "title-long")
			s.limits.SetStats(t, b, c.ID, courses.Stats{ReviewCount: 5, RatingSum: 25})
			require.Equal(t, "title-long", find(t, b, "go backend")[0], "of one tier the better rated comes first")
			c = bySlug(t, b, "rest")
			s.limits.SetStats(t, b, c.ID, courses.Stats{ReviewCount: 500, RatingSum: 2500})
			require.Equal(t, "title-long", find(t, b, "go backend")[0], "no rating lifts a course over a tier")
		}
	})
	s.run("updated text is found by its new words and not by its old ones", func(t *testing.T, b *storage.Backend) {
		sh := newShelf(t, b)
		c, other := course("one", sh.teachers[0]), course("other", sh.teachers[0])
		c.Title, c.Description, c.Tags = "Ancient title", "ancient description", sh.tags[:1]
		other.Title = "Ancient too"
		list := insertCourses(t, b, c, other)
		require.Equal(t, []string{"one", "other"}, sorted(find(t, b, "ancient")))
		c = list[0]
		for round := range 3 {
			c.Title, c.Description, c.Tags = fmt.Sprint("modern", round), fmt.Sprint("text", round), sh.tags[round+1:round+2]
			require.NoError(t, updateCourses(t, b, c))
			require.Equal(t, []string{"other"}, find(t, b, "ancient"))
			require.Empty(t, find(t, b, "analysis"), "the old tag")
			require.Equal(t, []string{"one"}, find(t, b, fmt.Sprint("modern", round)))
			require.Equal(t, []string{"one"}, find(t, b, fmt.Sprintf("text%d %s", round, sh.tags[round+1].Name)))
			if round > 0 {
				require.Empty(t, find(t, b, fmt.Sprint("modern", round-1)))
			}
		}
	})
	s.run("text that was rolled back is not found", func(t *testing.T, b *storage.Backend) {
		list := titled(t, b, "Kept")
		c := list[0]
		c.Title = "Lost"
		missing := c
		missing.ID, missing.Slug = 404, "missing"
		require.Error(t, updateCourses(t, b, c, missing))
		require.Equal(t, []string{"c-0"}, find(t, b, "kept"))
		require.Empty(t, find(t, b, "lost"))
	})
}
