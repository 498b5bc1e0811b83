// Package richtext makes what authors write safe to show: HTML or Markdown in, HTML
// out that has nothing but an allow list of elements and attributes.
//
// Text is sanitized when it is written, and stored with the [Version] of the policy,
// so that a stricter policy finds what was written under an older one.
package richtext

import (
	"bytes"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
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
// parts, so that a text of 64 KiB that is all marks would take seconds. A few bytes of
// it can stand for many in HTML: a short row of a table is as wide as its header, and
// a link by a label has all that its definition says.
const (
	MaxMarkdown = 256 << 10 // bytes
	MaxMarks    = 2000      // between two empty lines
	MaxPadding  = 10_000    // empty cells of tables at the ends of short rows, of a text
	MaxEscapes  = 2000      // escaped bars (\\|) of a text
	MaxLinked   = 256 << 10 // bytes of definitions that links by label repeat, of a text
	MaxRendered = 1 << 20   // bytes of HTML, before it is sanitized
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
		rendered, err := render(text)
		if err != nil {
			return "", err
		}
		return strings.TrimSpace(sanitize(rendered)), nil
	}
	return "", core.Invalid("format", "oneof", "html markdown", string(format), "there is no such format")
}

// render returns the HTML of Markdown, which is not safe yet.
func render(text string) (string, error) {
	out := bounded{left: MaxRendered}
	links := references{Context: parser.NewContext()}
	err := markdown().Convert([]byte(text), &out, parser.WithContext(&links))
	switch {
	case links.bytes > MaxLinked:
		return "", tooMany("links", MaxLinked, links.bytes, "bytes of definitions that links by label repeat")
	case errors.Is(err, errFull):
		return "", tooMany("max", MaxRendered, MaxRendered+1, "bytes of HTML come out of the Markdown")
	case err != nil:
		return "", core.ErrInternal.Because(err)
	}
	return out.String(), nil
}

func tooMany(code string, most, got int, what string) error {
	return core.Invalid("text", code, strconv.Itoa(most), strconv.Itoa(got), "too many "+what)
}

// bounded is a buffer that takes so many bytes and then fails.
type bounded struct {
	bytes.Buffer
	left int
}

var errFull = errors.New("richtext: too much HTML")

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errFull
	}
	return b.Buffer.Write(p)
}

// references are the definitions of links. They are not found any more once as much
// of them has been repeated as may be.
type references struct {
	parser.Context
	bytes int
}

func (r *references) Reference(label string) (parser.Reference, bool) {
	found, ok := r.Context.Reference(label)
	if ok {
		r.bytes += len(found.Destination()) + len(found.Title())
	}
	if !ok || r.bytes > MaxLinked {
		return nil, false
	}
	return found, true
}

// checkMarkdown holds a text to the bounds that can be seen before it is parsed.
func checkMarkdown(text string) error {
	if len(text) > MaxMarkdown {
		return core.Invalid("text", "max", strconv.Itoa(MaxMarkdown)+" bytes", strconv.Itoa(len(text))+" bytes", "Markdown is longer than may be")
	}
	if n := strings.Count(text, `\|`); n > MaxEscapes {
		return tooMany("escapes", MaxEscapes, n, `escaped bars (\|) of Markdown`)
	}
	marks, columns, padding := 0, 0, 0
	for line := range strings.Lines(text) {
		if strings.Trim(line, " \t\r\n") == "" { // what the parser holds to be empty, not more
			marks, columns = 0, 0
		}
		if marks += countMarks(line); marks > MaxMarks {
			return tooMany("marks", MaxMarks, marks, "marks of Markdown without an empty line between them")
		}
		cells := strings.Count(line, "|") + 1
		if padding += max(0, columns-cells); padding > MaxPadding {
			return tooMany("cells", MaxPadding, padding, "cells that the rows of Markdown tables lack")
		}
		if isDelimiter(line) {
			columns = max(columns, cells)
		}
	}
	return nil
}

// isDelimiter reports whether a line may be the one below the header of a table,
// perhaps in a quotation.
func isDelimiter(line string) bool {
	return strings.Contains(line, "-") && strings.Trim(line, "|:-> \t\r\n\v\f") == ""
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
