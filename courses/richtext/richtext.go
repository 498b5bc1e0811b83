// Package richtext makes what authors write safe to show: HTML or Markdown in, HTML
// out that has nothing but an allow list of elements and attributes.
//
// Text is sanitized when it is written, and stored with the [Version] of the policy,
// so that a stricter policy finds what was written under an older one.
package richtext

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	gmhtml "github.com/yuin/goldmark/renderer/html"
	"golang.org/x/net/html"

	"github.com/ustat/ustat/core"
)

// Version is that of the policy: one more with each change of what it lets through.
const Version = 1

// Format is what an author writes in.
type Format string

// The formats. An empty Format is HTML.
const (
	PlainHTML Format = "html"
	Markdown  Format = "markdown" // CommonMark with tables and strikethrough; HTML in it is sanitized too
)

// The bounds of Markdown. The time of its parser grows with the square of how many
// marks (of emphasis, links, quotations, lists) there are in lines that no empty line
// parts, so that a text of 64 KiB that is all marks would take seconds.
const (
	MaxMarkdown = 256 << 10 // bytes
	MaxMarks    = 2000      // between two empty lines
)

// rounds bounds how often a text is sanitized until it stays as it is.
const rounds = 4

// HTML returns text as HTML that is safe to show inside a page: paragraphs,
// headings, lists, quotations, tables, code (with a class "language-go"), links to
// https and mailto, and images by https. All else is left out: scripts and styles
// with what is in them, other elements and attributes alone.
//
// The result stays as it is when it comes in again as HTML. Text without markup is
// returned unchanged. It fails with core.ErrInvalid for an unknown format, for text
// that is not valid UTF-8 or has a NUL, and for Markdown beyond its bounds. The time
// of HTML is linear in its length, which callers bound.
func HTML(text string, format Format) (string, error) {
	if !core.ValidText(text) {
		return "", core.Invalid("text", "text", "", "", "valid UTF-8 without NUL is expected")
	}
	switch format {
	case "", PlainHTML:
		return sanitize(text), nil
	case Markdown:
		if err := checkMarkdown(text); err != nil {
			return "", err
		}
		var out bytes.Buffer
		if err := markdown().Convert([]byte(text), &out); err != nil {
			return "", core.ErrInternal.Because(err)
		}
		return strings.TrimSpace(sanitize(out.String())), nil
	}
	return "", core.Invalid("format", "oneof", "html markdown", string(format), "there is no such format")
}

func checkMarkdown(text string) error {
	if len(text) > MaxMarkdown {
		return core.Invalid("text", "max", strconv.Itoa(MaxMarkdown)+" bytes", strconv.Itoa(len(text))+" bytes", "Markdown is longer than may be")
	}
	marks := 0
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			marks = 0
		}
		if marks += countMarks(line); marks > MaxMarks {
			return core.Invalid("text", "marks", strconv.Itoa(MaxMarks), strconv.Itoa(marks),
				"too many marks of Markdown without an empty line between them")
		}
	}
	return nil
}

// countMarks counts what may begin or end something in Markdown.
func countMarks(line string) int {
	n := 0
	for i := range len(line) {
		switch line[i] {
		case '*', '_', '[', '>', '~':
			n++
		case ' ', '\t':
			if i > 0 && strings.IndexByte("-+.)", line[i-1]) >= 0 { // of a list
				n++
			}
		}
	}
	return n
}

func sanitize(text string) string {
	if isPlain(text) {
		return text
	}
	for range rounds {
		clean := policy().Sanitize(text)
		if clean == text {
			return text
		}
		text = clean
	}
	// It still changes: keep its words alone.
	return html.EscapeString(Text(text))
}

// isPlain reports whether text has nothing that a parser of HTML would take for
// markup. Most imported text is so.
func isPlain(text string) bool { return !strings.ContainsAny(text, "<&\r") }

var markdown = sync.OnceValue(func() goldmark.Markdown {
	return goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough),
		goldmark.WithRendererOptions(gmhtml.WithUnsafe())) // what it renders is sanitized
})

// policy is built once; a bluemonday.Policy that is built is safe for concurrent use.
var policy = sync.OnceValue(func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements(
		"p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "code", "ul", "ol", "li", "dl", "dt", "dd",
		"b", "strong", "i", "em", "u", "s", "del", "ins", "sub", "sup", "small", "mark", "kbd", "samp", "var", "q", "cite", "abbr",
		"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "figure", "figcaption", "details", "summary",
	)
	number := regexp.MustCompile(`^[0-9]{1,4}$`)
	p.AllowAttrs("class").Matching(regexp.MustCompile(`^language-[A-Za-z0-9+#.-]{1,32}$`)).OnElements("code")
	p.AllowAttrs("start").Matching(number).OnElements("ol")
	p.AllowAttrs("colspan", "rowspan").Matching(number).OnElements("th", "td")
	p.AllowAttrs("align").Matching(regexp.MustCompile(`^(left|center|right)$`)).OnElements("th", "td")
	p.AllowAttrs("title").OnElements("abbr", "a", "img")
	p.AllowAttrs("href").Matching(regexp.MustCompile(`^(?i:https://|mailto:)`)).OnElements("a")
	p.AllowAttrs("src").Matching(regexp.MustCompile(`^(?i:https)://`)).OnElements("img")
	p.AllowAttrs("alt").OnElements("img")
	p.AllowAttrs("width", "height").Matching(number).OnElements("img")
	p.AllowURLSchemes("https", "mailto")
	p.RequireParseableURLs(true)
	p.RequireNoFollowOnLinks(true)
	p.AddTargetBlankToFullyQualifiedLinks(true) // and with it rel="noopener"
	return p
})

// blocks end a word: text on their two sides is not run together.
var blocks = map[string]bool{
	"p": true, "br": true, "hr": true, "h1": true, "h2": true, "h3": true, "h4": true, "h5": true, "h6": true, "blockquote": true,
	"pre": true, "ul": true, "ol": true, "li": true, "dl": true, "dt": true, "dd": true, "table": true, "caption": true,
	"tr": true, "th": true, "td": true, "figure": true, "figcaption": true, "details": true, "summary": true, "div": true,
}

// Text returns the words of sanitized HTML, for search and snippets: without tags,
// with entities resolved, and a line break where a block ends. Text without markup
// is returned unchanged.
func Text(clean string) string {
	if isPlain(clean) {
		return clean
	}
	var out strings.Builder
	out.Grow(len(clean))
	for z := html.NewTokenizer(strings.NewReader(clean)); ; {
		switch z.Next() {
		case html.ErrorToken:
			return out.String()
		case html.TextToken:
			out.Write(z.Text())
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			if name, _ := z.TagName(); blocks[string(name)] {
				out.WriteByte('\n')
			}
		}
	}
}
