package fulltext_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses/fulltext"
)

func TestFormsOfAWordMeet(t *testing.T) {
	t.Parallel()
	for _, forms := range [][]string{
		{"курс", "курсы", "курсов", "КУРСЫ"},
		{"программирование", "Программирования", "программированию"},
		{"database", "Databases", "DATABASE"},
		{"ёлка", "елка", "Ёлки"},
		{"café", "cafe", "CAFÉ"},
	} {
		want := fulltext.Terms(forms[0])
		for _, form := range forms[1:] {
			require.Equal(t, want, fulltext.Terms(form), form)
		}
	}
}

func TestNamesOfLanguagesStayWhole(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"c++"}, fulltext.Terms("C++"))
	require.Equal(t, []string{"c#"}, fulltext.Terms("(C#)"))
	require.Equal(t, []string{".net", "asp", "c#"}, fulltext.Terms(".NET, ASP/C#"))
	require.Equal(t, []string{"end", "next"}, fulltext.Terms("end.Next"))
	require.Equal(t, []string{"a", "b"}, fulltext.Terms("a+b"))
	require.Equal(t, []string{"й"}, fulltext.Terms("й"))
	require.Equal(t, []string{"数", "学"}, fulltext.Terms("数学"))
}

func TestAQueryDropsCommonWordsUnlessAlone(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"python"}, fulltext.Query("the python and the Python"))
	require.Equal(t, []string{"the"}, fulltext.Query("the"))
	require.Empty(t, fulltext.Query(`"*()' -- ;`))
}

func FuzzTerms(f *testing.F) {
	for _, s := range []string{"курс C++ .net", "a\x00b", "\xff\xfe", "ё й̆ 🎸 数", strings.Repeat("a", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		terms := fulltext.Terms(text)
		for _, term := range terms {
			if term == "" || !utf8.ValidString(term) || strings.ContainsAny(term, " \x00'\"") || len(term) > fulltext.MaxTermBytes {
				t.Fatalf("bad term %q of %q", term, text)
			}
		}
		fulltext.Query(text)
		if s := fulltext.Snippet(text, terms, 80); utf8.ValidString(text) && !utf8.ValidString(s) {
			t.Fatalf("bad snippet %q", s)
		}
	})
}

func ExampleQuery() {
	fmt.Println(fulltext.Query("курсы по C++ и базам данных"))
	// Output: [курс c++ баз дан]
}
