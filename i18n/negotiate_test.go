package i18n_test

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/i18n"
)

// corpus reads lines of header|wishes|language.
func corpus(t testing.TB) (lines [][3]string) {
	t.Helper()
	file, err := os.Open("testdata/accept-language.txt")
	require.NoError(t, err)
	defer file.Close()
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		if line := scanner.Text(); line != "" && line[0] != '#' {
			cells := strings.Split(line, "|")
			require.Len(t, cells, 3, line)
			lines = append(lines, [3]string(cells))
		}
	}
	return lines
}

func TestCorpusOfHeaders(t *testing.T) {
	t.Parallel()
	c := catalog(t, nil)
	lines := corpus(t)
	require.GreaterOrEqual(t, len(lines), 200)
	for _, line := range lines {
		reader := c.Negotiate(i18n.Sources{Header: line[0]})
		assert.Equal(t, line[1], strings.Join(reader.Wishes, " "), "wishes of %q", line[0])
		assert.Equal(t, line[2], reader.Language, "language of %q", line[0])
	}
}

func TestLongHeaders(t *testing.T) {
	t.Parallel()
	c := catalog(t, nil)
	for name, test := range map[string]struct {
		header string
		want   []string
	}{
		"a megabyte of one tag":                  {strings.Repeat("a", 1<<20), nil},
		"a megabyte of hyphens":                  {strings.Repeat("-", 1<<20), nil},
		"a megabyte of commas":                   {strings.Repeat(",", 1<<20), nil},
		"a megabyte of tags behind one":          {"ru," + strings.Repeat("not_a_tag_at_all,", 1<<16), []string{"ru"}},
		"a megabyte of parameters":               {"ru;q=0." + strings.Repeat("9", 1<<20), nil},
		"a language behind the bytes that count": {strings.Repeat(" ", i18n.MaxHeader) + ",ru", []string{}},
		"one that the bytes cut through":         {strings.Repeat("x;q=2,", 42) + "en,ru-RU", []string{"en"}},
		"more languages than count":              {"ru,en,de,fr,es,it,pl,cs,sv,da", []string{"ru", "en", "de", "fr", "es", "it", "pl", "cs"}},
	} {
		got := c.Negotiate(i18n.Sources{Header: test.header})
		if test.want != nil {
			assert.Equal(t, strings.Join(test.want, " "), strings.Join(got.Wishes, " "), name)
		}
		assert.LessOrEqual(t, len(got.Wishes), i18n.MaxWishes, name)
		assert.Contains(t, c.Languages(), got.Language, name)
	}
}

func TestTheStrongestWishComesFirst(t *testing.T) {
	t.Parallel()
	c := catalog(t, nil)
	for _, test := range []struct {
		query, saved, header, wishes, language string
	}{
		{"ru", "en", "de", "ru en de", "ru"},
		{"", "ru", "en-US,en;q=0.9", "ru en-US en", "ru"},
		{"", "", "en-US,ru;q=0.9", "en-US ru", "en"},
		{"", "", "", "", "en"},
		{"de", "", "ru", "de ru", "ru"},
		{"klingonese", "not a tag", "ru", "ru", "ru"},
		{"RU", "ru", "ru", "ru", "ru"},
		{"kk", "", "", "kk", "ru"}, // who reads Kazakh is taken to read Russian before English
		{"ca-ES-valencia", "", "", "ca-ES-valencia", "en"},
	} {
		got := c.Negotiate(i18n.Sources{Query: test.query, Saved: test.saved, Header: test.header})
		assert.Equal(t, test.wishes, strings.Join(got.Wishes, " "), test)
		assert.Equal(t, test.language, got.Language, test)
	}
}

func TestTheReaderIsTheContexts(t *testing.T) {
	t.Parallel()
	assert.Empty(t, i18n.From(t.Context()).Wishes)
	ctx := i18n.With(t.Context(), i18n.Reader{Wishes: []string{"ru"}})
	assert.Equal(t, []string{"ru"}, i18n.From(ctx).Wishes)
	assert.Empty(t, i18n.From(t.Context()).Wishes)
}

func TestParents(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"zh-Hant-TW", "zh-Hant", "zh"}, i18n.Parents("zh-Hant-TW"))
	assert.Equal(t, []string{"ru"}, i18n.Parents("ru"))
}

// TestHeadersTakeTimeInTheirLength doubles headers up to a megabyte.
func TestHeadersTakeTimeInTheirLength(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	for name, piece := range map[string]string{"tags": "en-GB;q=0.5,", "hyphens": "-", "underscores": "_", "subtags": "a-", "commas": ",", "semicolons": ";"} {
		least := func(header string) time.Duration { // of several, since others use the machine too
			best := time.Hour
			for range 20 {
				begin := time.Now()
				for range 200 {
					i18n.ParseAcceptLanguage(header)
				}
				best = min(best, time.Since(begin))
			}
			return best
		}
		short := least(strings.Repeat(piece, 1<<19/len(piece)))
		long := least(strings.Repeat(piece, 1<<20/len(piece)))
		assert.LessOrEqual(t, float64(long), 2.5*float64(short)+float64(time.Millisecond), "%s: %s, and %s of twice as much", name, short, long)
	}
}

func FuzzNegotiate(f *testing.F) {
	for _, line := range corpus(f) {
		f.Add(line[0], "ru", "")
		f.Add("", line[0], line[0])
	}
	c, err := i18n.NewCatalog(nil)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, header, query, saved string) {
		got := c.Negotiate(i18n.Sources{Header: header, Query: query, Saved: saved})
		require.LessOrEqual(t, len(got.Wishes), i18n.MaxWishes)
		for i, tag := range got.Wishes {
			require.LessOrEqual(t, len(tag), i18n.MaxTag)
			require.NotContains(t, got.Wishes[:i], tag)
			again := c.Negotiate(i18n.Sources{Query: tag})
			require.Equal(t, []string{tag}, again.Wishes, "a wish is canonical")
		}
		require.True(t, slices.Contains(c.Languages(), got.Language))
	})
}
