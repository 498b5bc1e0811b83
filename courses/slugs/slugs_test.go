package slugs_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses/slugs"
)

func TestMakeSpellsNamesInLatin(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"C":                         "c",
		"C++":                       "c-plus-plus",
		"C#":                        "c-sharp",
		"  Web Development  ":       "web-development",
		"snake_case":                "snake-case",
		"веб-разработка":            "veb-razrabotka",
		"Health & Safety":           "health-and-safety",
		"Node.js":                   "node-js",
		"":                          "",
		"!?":                        "",
		strings.Repeat("a", 200):    strings.Repeat("a", 120),
		strings.Repeat("word ", 40): strings.TrimRight(strings.Repeat("word-", 24), "-"),
	} {
		require.Equal(t, want, slugs.Make(text), "of %q", text)
	}
}

func FuzzMakeGivesASlugOrNothing(f *testing.F) {
	f.Add("C++ и Go_1")
	f.Add("日本語")
	f.Fuzz(func(t *testing.T, text string) {
		if made := slugs.Make(text); made != "" {
			require.True(t, core.IsSlug(made), "%q of %q", made, text)
		}
	})
}

func TestNumberedStaysASlug(t *testing.T) {
	t.Parallel()
	require.Equal(t, "go-2", slugs.Numbered("go", 2))
	long := slugs.Numbered(strings.Repeat("a", 116)+"-bcd", 1234)
	require.Equal(t, strings.Repeat("a", 115)+"-1234", long)
	require.True(t, core.IsSlug(slugs.Numbered(strings.Repeat("a", 117)+"-bc", 22)))
	require.True(t, slugs.IsReserved("search"))
	require.False(t, slugs.IsReserved("search-2"))
}
