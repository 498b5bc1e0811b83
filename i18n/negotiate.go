package i18n

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"
)

// The bounds of what strangers say about their languages.
const (
	MaxHeader = 256 // bytes of an Accept-Language header that are read
	MaxWishes = 8   // languages of a reader that are kept
	MaxTag    = 35  // bytes of a tag
)

// Reader is what is known about the languages of who asks. The zero Reader has no
// wishes.
type Reader struct {
	// Wishes are canonical tags, the dearest first, each once.
	Wishes []string
	// Language is that of the catalogue which suits the wishes best.
	Language string
}

// Sources are what a reader has said about languages, the strongest first. Each may be
// empty, and what is no language counts as empty.
type Sources struct {
	Query  string // of the request itself: ?lang=
	Saved  string // the choice that the user has saved
	Header string // Accept-Language
}

// short returns the sources without what is too long to count, so that they can be kept.
func (s Sources) short() Sources {
	if len(s.Query) > MaxTag {
		s.Query = ""
	}
	if len(s.Saved) > MaxTag {
		s.Saved = ""
	}
	if len(s.Header) > MaxHeader {
		s.Header = s.Header[:max(0, strings.LastIndexByte(s.Header[:MaxHeader+1], ','))]
	}
	return s
}

// wishes puts sources together.
func (s Sources) wishes() []string {
	var wishes []string
	add := func(tag string) {
		if tag != "" && len(wishes) < MaxWishes && !slices.Contains(wishes, tag) {
			wishes = append(wishes, tag)
		}
	}
	add(canonical(s.Query))
	add(canonical(s.Saved))
	for _, tag := range ParseAcceptLanguage(s.Header) {
		add(tag)
	}
	return wishes
}

// canonical returns the canonical form of a tag that names a language, or "". Extensions
// are left out: no text differs by them.
func canonical(tag string) string {
	if len(tag) > MaxTag || strings.Contains(tag, "_") {
		return ""
	}
	parsed, err := language.Parse(tag)
	if err != nil {
		return ""
	}
	base, script, region := parsed.Raw()
	if base.String() == "und" || base.String() == "mul" {
		return ""
	}
	short, err := language.Compose(base, script, region, parsed.Variants())
	if err != nil {
		return ""
	}
	return short.String()
}

// ParseAcceptLanguage returns the languages of an Accept-Language header (RFC 9110) as
// canonical tags, the dearest first and at most MaxWishes. Of a longer header than
// MaxHeader only the items that end within it count. Items that are malformed, those of
// weight 0 and * are left out: each of them names no language to answer in.
func ParseAcceptLanguage(header string) []string {
	header = Sources{Header: header}.short().Header
	type wish struct {
		tag    string
		weight int
	}
	var wishes []wish
	for item := range strings.SplitSeq(header, ",") {
		tag, params, _ := strings.Cut(item, ";")
		weight, ok := parseWeight(params)
		if tag = canonical(strings.Trim(tag, " \t")); ok && weight > 0 && tag != "" {
			wishes = append(wishes, wish{tag, weight})
		}
	}
	slices.SortStableFunc(wishes, func(a, b wish) int { return cmp.Compare(b.weight, a.weight) })
	var tags []string
	for _, w := range wishes {
		if len(tags) < MaxWishes && !slices.Contains(tags, w.tag) {
			tags = append(tags, w.tag)
		}
	}
	return tags
}

// parseWeight reads the parameters of an item: nothing, or q= with a number from 0 to 1
// of at most three decimals. It returns thousandths.
func parseWeight(params string) (int, bool) {
	params = strings.Trim(params, " \t")
	if params == "" {
		return 1000, true
	}
	name, value, _ := strings.Cut(params, "=")
	if !strings.EqualFold(name, "q") || len(value) > len("0.000") {
		return 0, false
	}
	whole, decimals, _ := strings.Cut(value, ".")
	thousandths, err := strconv.ParseUint(whole+(decimals + "000")[:3], 10, 16)
	return int(thousandths), err == nil && len(whole) == 1 && thousandths <= 1000
}

// Parents returns a canonical tag and what it is a kind of, the nearest first:
// "zh-Hant-TW", "zh-Hant", "zh".
func Parents(tag string) []string {
	chain := []string{tag}
	for {
		i := strings.LastIndexByte(tag, '-')
		if i < 0 {
			return chain
		}
		tag = tag[:i]
		chain = append(chain, tag)
	}
}

type readerKey struct{}

// With returns a context that carries a reader.
func With(ctx context.Context, r Reader) context.Context {
	return context.WithValue(ctx, readerKey{}, r)
}

// From returns the reader of a context; one without wishes where there is none.
func From(ctx context.Context) Reader {
	r, _ := ctx.Value(readerKey{}).(Reader)
	return r
}
