package richtext_test

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses/richtext"
	"github.com/ustat/ustat/internal/xsstest"
)

func clean(t testing.TB, text string, format richtext.Format) string {
	t.Helper()
	out, err := richtext.HTML(text, format)
	require.NoError(t, err)
	return out
}

func TestHTMLKeepsWhatAuthorsWrite(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                    "",
		"plain text":          "plain text",
		`"quotes" > 'others'`: `"quotes" > 'others'`,
		"R&D":                 "R&amp;D",
		"<p>Тест <b>жирный</b> 🎓</p>":                                          "<p>Тест <b>жирный</b> 🎓</p>",
		`<a href="https://example.org/?a=1&amp;b=2">x</a>`:                     `<a href="https://example.org/?a=1&amp;b=2" rel="nofollow noopener" target="_blank">x</a>`,
		`<a href="mailto:ann@example.org">x</a>`:                               `<a href="mailto:ann@example.org" rel="nofollow">x</a>`,
		`<a href="http://example.org">x</a>`:                                   "x",
		`<a href="/relative">x</a>`:                                            "x",
		`<img src="https://example.org/a.png" alt="C++ &amp; Go" onerror="x">`: `<img src="https://example.org/a.png" alt="C++ &amp; Go">`,
		`<img src="data:image/png;base64,AAAA">`:                               "",
		`<img src="mailto:a@example.org">`:                                     "",
		`<pre><code class="language-c++">a &lt; b</code></pre>`:                `<pre><code class="language-c++">a &lt; b</code></pre>`,
		`<p class="big" style="color:red" id="x">y</p>`:                        "<p>y</p>",
		"<script>alert(1)</script>after":                                       "after",
		"<table><tr><td colspan=\"2\" onclick=\"x\">1</td></tr></table>":       `<table><tr><td colspan="2">1</td></tr></table>`,
	} {
		require.Equal(t, want, clean(t, text, ""), "of %s", text)
	}
}

func TestMarkdownIsMadeHTML(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"# Title\n\n*a* **b** `c`":         "<h1>Title</h1>\n<p><em>a</em> <strong>b</strong> <code>c</code></p>",
		"```go\nx < y\n```":                "<pre><code class=\"language-go\">x &lt; y\n</code></pre>",
		"[x](https://example.org)":         `<p><a href="https://example.org" rel="nofollow noopener" target="_blank">x</a></p>`,
		"[x](javascript:alert(1))":         "<p>x</p>",
		"~~a~~ <b>b</b><script>c</script>": "<p><del>a</del> <b>b</b></p>",
		"|a|b|\n|:-|-:|\n|1|2|":            "<table>\n<thead>\n<tr>\n<th>a</th>\n<th>b</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>1</td>\n<td>2</td>\n</tr>\n</tbody>\n</table>",
	} {
		got := clean(t, text, richtext.Markdown)
		require.Equal(t, want, strings.NewReplacer(` align="left"`, "", ` align="right"`, "", ` style="text-align:left"`, "").Replace(got), "of %s", text)
		require.Equal(t, got, clean(t, got, ""), "it stays as it is")
	}
}

func TestBadInputIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a\x00b", "a\xffb"} {
		_, err := richtext.HTML(text, "")
		require.ErrorIs(t, err, core.ErrInvalid)
	}
	for text, format := range map[string]richtext.Format{
		"x": "rtf", strings.Repeat("a", richtext.MaxMarkdown+1): richtext.Markdown, strings.Repeat("*a ", richtext.MaxMarks+1): richtext.Markdown,
	} {
		_, err := richtext.HTML(text, format)
		require.ErrorIs(t, err, core.ErrInvalid)
	}
}

func TestTextIsTheWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain": "plain",
		"<p>one</p><p>two &amp; <b>th</b>ree</p>": "one two & three",
		"<ul><li>a</li><li>b</li></ul>":           "a b",
		"a<br>b":                                  "a b",
		`<img src="https://x/y" alt="no">z`:       "z",
	} {
		require.Equal(t, want, strings.Join(strings.Fields(richtext.Text(text)), " "), "of %s", text)
	}
}

// harmless fails the test unless text is safe and stays as it is.
func harmless(t testing.TB, from, text string) {
	t.Helper()
	require.NoError(t, xsstest.Harmless(text), "of %q", from)
	again, err := richtext.HTML(text, "")
	require.NoError(t, err)
	require.Equal(t, text, again, "S(S(x)) = S(x), of %q", from)
}

func TestPayloadsAreHarmless(t *testing.T) {
	t.Parallel()
	payloads := xsstest.Payloads()
	require.GreaterOrEqual(t, len(payloads), 2000)
	for _, payload := range payloads {
		harmless(t, payload, clean(t, payload, richtext.PlainHTML))
		harmless(t, payload, clean(t, payload, richtext.Markdown))
	}
}

// The oracle itself: it finds what is bad.
func TestTheOracleFindsWhatIsBad(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"<script>x</script>", "<p onclick=x>", "<a href='javascript:x'>", "<img src=data:x>", "<p style='x'>", "<svg></svg>", "<iframe src='https://x'>",
		"<math></math>", "<p id=x>", "<img src=\"mailto:a\">", "<a href=\"//x\">", "<form>", "<a href=' https://x'>", "<p class='language-go'>",
	} {
		require.Error(t, xsstest.Harmless(bad), bad)
	}
	require.NoError(t, xsstest.Harmless(`<p>a <a href="https://x" rel="nofollow">b</a></p>`))
}

func FuzzSanitize(f *testing.F) {
	for i, payload := range xsstest.Payloads() {
		if i%50 == 0 {
			f.Add(payload)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range []richtext.Format{richtext.PlainHTML, richtext.Markdown} {
			if out, err := richtext.HTML(text, format); err == nil {
				harmless(t, text, out)
			}
		}
	})
}

// A short text of Markdown does not stand for a long one of HTML: it is refused, by a
// reason that names the bound, before it costs anything. It counts what is allocated, and so runs alone.
func TestMarkdownDoesNotGrow(t *testing.T) {
	table := func(columns, rows int, quote, row string) string {
		return quote + strings.Repeat("a|", columns) + "\n" + quote + strings.Repeat("-|", columns) + "\n" + strings.Repeat(quote+row+"\n", rows)
	}
	for name, c := range map[string]struct{ text, code string }{
		"a wide table of short rows":    {table(2600, 5200, "", "x"), "cells"},
		"one in a quotation":            {table(1000, 1500, "> ", "x"), "cells"},
		"many of them":                  {strings.Repeat(table(100, 90, "", "x")+"\n", 20), "cells"},
		"parted by what is not empty":   {table(2600, 2600, "", "\u00a0"), "cells"},
		"rows of escaped bars":          {table(2, 30_000, "", "`\\|`"), "escapes"},
		"a long definition":             {"[a]: https://x.org/" + strings.Repeat("u", 16_000) + "\n\n" + strings.Repeat("[a]\n\n", 3000), "links"},
		"a long title":                  {"[a]: https://x.org/ '" + strings.Repeat("u", 16_000) + "'\n\n" + strings.Repeat("[a]\n\n", 3000), "links"},
		"one on the next line":          {"[a]:\n<https://x.org/" + strings.Repeat("u", 100_000) + ">\n\n" + strings.Repeat("[a]\n\n", 10), "links"},
		"many marks parted by no-break": {strings.Repeat(strings.Repeat("*a_ ", 900)+"\n\u00a0\n", 8), "marks"},
		"more HTML than is taken":       {strings.Repeat("&", richtext.MaxMarkdown), "max"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := richtext.HTML(c.text, richtext.Markdown)
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, err, core.ErrInvalid)
			e, ok := errors.AsType[*core.Error](err)
			require.True(t, ok)
			require.Equal(t, c.code, e.Violations[0].Code)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
		})
	}
	for name, text := range map[string]string{
		"a table":                table(12, 800, "", strings.Repeat("cell|", 10)),
		"tables":                 strings.Repeat(table(6, 20, "", "a|b|c")+"\n", 100),
		"links to definitions":   "[a]: https://example.org/" + strings.Repeat("u", 60) + " 'A title'\n\n" + strings.Repeat("See [a].\n\n", 1000),
		"rules and setext lines": strings.Repeat("Title\n---\ntext\n***\n", 300),
	} {
		out, err := richtext.HTML(text, richtext.Markdown)
		require.NoError(t, err, name)
		require.NotEmpty(t, out)
	}
}

// However a text of the greatest length is made, it takes no more than moments: its
// time does not grow with the square of its length.
func TestNoTextTakesLong(t *testing.T) {
	longest, part := 1<<17, 8 // a part of what is taken; all of it with USTAT_TEST_SCALE
	if os.Getenv("USTAT_TEST_SCALE") != "" {
		longest, part = 1<<20, 1
	}
	marks, markdown := richtext.MaxMarks/part, richtext.MaxMarkdown/part
	measure := func(t *testing.T, format richtext.Format, text string) {
		t.Helper()
		start := time.Now()
		if _, err := richtext.HTML(text, format); err != nil {
			require.ErrorIs(t, err, core.ErrInvalid)
		}
		// Without bounds some take minutes; with them, a second, and several under the race detector.
		require.Less(t, time.Since(start), 30*time.Second, "%.20q… as %s", text, format)
	}
	for _, unit := range []string{
		"<b>", "> ", ">", "[", "[a](", "[](", "![a](", "[a](b \"", "[a](<", "[a][", "[a]: b\n", "&amp;", "<!--", "<a href=\"https://x\" ", "<a href=\"", "*a ", "*a_ ",
		"_a*_b*", "**a ", "~~a ", "`a``", "<ul><li>", "\\", "_a_", "|a|b\n", "1. ", "- ", "+ ", "1) ", "\n> a", "- a\n", "a\n", "\r", "<?", "<![CDATA[", "|", "-|", "`\\|`|", "a|b\n-|-\n", "a|\n-|\nx\n", "[a]\n\n",
	} {
		measure(t, richtext.PlainHTML, strings.Repeat(unit, longest/len(unit)))
		// As much as is taken, again and again.
		block := strings.Repeat(unit, marks) + "\n\n"
		measure(t, richtext.Markdown, strings.Repeat(block, max(1, markdown/len(block))))
		measure(t, richtext.Markdown, strings.Repeat(unit, marks/2)+strings.Repeat("a", markdown/2))
		measure(t, richtext.Markdown, strings.Repeat(unit, markdown/len(unit)))
	}
}
