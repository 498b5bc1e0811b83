package i18n

import (
	"embed"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/currency"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"

	"github.com/ustat/ustat/core"
)

//go:embed messages/*.json
var builtIn embed.FS

// English is the language of the texts that stand in the code.
const English = "en"

// MaxLanguages bounds the languages of a catalogue.
const MaxLanguages = 100

// Options are what an embedder changes of the built-in catalogue. Nil and zero Options
// change nothing.
type Options struct {
	// Default is the language of readers whose wishes cannot be met, and that of what a
	// language lacks. Empty means English.
	Default string
	// Messages are texts by language, and in it by key: they come before the built-in ones.
	// A language that is not built in is added by that; what it lacks is said in that of
	// which it is a kind, in the default language, or else in English. Keys are found in the
	// built-in files: see BuiltIn.
	Messages map[string]Messages
}

// Catalog is the texts of all languages. They do not change once it is made; it is safe
// for concurrent use.
type Catalog struct {
	standard  string
	languages []string // sorted, the default first
	tags      []language.Tag
	own       map[string]Messages // the embedder's
	built     map[string]Messages
	matcher   language.Matcher

	mu    sync.RWMutex
	known map[Sources]Reader
}

// BuiltIn returns the messages of a built-in language, "ru" or "en", to be read or
// changed, and nil of others.
func BuiltIn(tag string) Messages {
	data, err := builtIn.ReadFile("messages/" + tag + ".json")
	if err != nil {
		return nil
	}
	m, err := ParseMessages(data)
	if err != nil { // a test reads them all
		panic("i18n: " + tag + ": " + err.Error())
	}
	return m
}

// NewCatalog returns the built-in catalogue with what the options change. It fails with
// core.ErrInvalid for a language that is none or has no texts, and for empty texts.
func NewCatalog(o *Options) (*Catalog, error) {
	c := &Catalog{standard: English, known: map[Sources]Reader{}, own: map[string]Messages{}, built: map[string]Messages{"ru": BuiltIn("ru"), English: BuiltIn(English)}}
	if o == nil {
		o = &Options{}
	}
	for given, messages := range o.Messages {
		tag := canonical(given)
		if tag == "" {
			return nil, core.Invalid("Messages", "bcp47_language_tag", "", given, "this is no language")
		}
		if err := messages.check("Messages." + given); err != nil {
			return nil, err
		}
		if c.own[tag] != nil {
			return nil, core.Invalid("Messages", "unique", "", given, "the language is there twice")
		}
		c.own[tag] = messages
	}
	c.languages = []string{"ru", English}
	for tag := range c.own {
		if c.built[tag] == nil {
			c.languages = append(c.languages, tag)
		}
	}
	if len(c.languages) > MaxLanguages {
		return nil, core.Invalid("Messages", "max", strconv.Itoa(MaxLanguages), strconv.Itoa(len(c.languages)), "there are too many languages")
	}
	if o.Default != "" {
		if c.standard = canonical(o.Default); !slices.Contains(c.languages, c.standard) {
			return nil, core.Invalid("Default", "unknown", "", o.Default, "there are no texts in this language")
		}
	}
	slices.SortFunc(c.languages, func(a, b string) int {
		switch c.standard {
		case a:
			return -1
		case b:
			return 1
		}
		return strings.Compare(a, b)
	})
	for _, tag := range c.languages {
		c.tags = append(c.tags, language.Make(tag))
	}
	c.matcher = language.NewMatcher(c.tags)
	return c, nil
}

// Languages returns the canonical tags of the languages, the default first.
func (c *Catalog) Languages() []string { return slices.Clone(c.languages) }

// Default returns the language of readers whose wishes cannot be met.
func (c *Catalog) Default() string { return c.standard }

// maxKnown bounds the readers that a catalogue remembers.
const maxKnown = 1000

// Negotiate returns a reader: the wishes of Query, then of Saved, then of Header by its
// weights, and the language of the catalogue that suits them best, which is the default
// where none does. It never fails: of a header at most MaxHeader bytes count, and what is
// malformed in it is passed over.
func (c *Catalog) Negotiate(s Sources) Reader {
	s = s.short()
	// Browsers send few headers, and the matcher takes its time.
	c.mu.RLock()
	r, ok := c.known[s]
	c.mu.RUnlock()
	if ok {
		return r
	}
	r = Reader{Wishes: s.wishes()}
	r.Language = c.match(r.Wishes)
	s = Sources{strings.Clone(s.Query), strings.Clone(s.Saved), strings.Clone(s.Header)} // not a part of something long
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKnown {
		clear(c.known)
	}
	c.known[s] = r
	return r
}

func (c *Catalog) match(wishes []string) string {
	tags := make([]language.Tag, len(wishes))
	for i, tag := range wishes {
		tags[i] = language.Make(tag)
	}
	// The matcher's tag has extensions of its own: its index is what is meant, and without
	// confidence that is any language.
	_, i, confidence := c.matcher.Match(tags...)
	if confidence == language.No {
		return c.standard
	}
	return c.languages[i]
}

// lookup returns a message in a language of the catalogue, or in what that is a kind of.
func (c *Catalog) lookup(lang, key string) (Message, bool) {
	for _, tag := range Parents(lang) {
		if m, ok := c.own[tag][key]; ok {
			return m, true
		}
		if m, ok := c.built[tag][key]; ok {
			return m, true
		}
	}
	return Message{}, false
}

// find is lookup, then in the default language, then in English. It returns the language
// of what it found.
func (c *Catalog) find(lang, key string) (Message, string, bool) {
	for _, tag := range [...]string{lang, c.standard, English} {
		if m, ok := c.lookup(tag, key); ok {
			return m, tag, true
		}
	}
	return Message{}, lang, false
}

// Text returns the text of a key in a language, with values in the place of their names
// in braces: pairs are name, value, and so on. A key that no language has is its own
// text.
func (c *Catalog) Text(lang, key string, pairs ...string) string {
	m, _, ok := c.find(lang, key)
	if !ok {
		return key
	}
	return fill(m.Other, pairs)
}

// Names returns how roles, statuses, kinds of lessons and languages are called in a
// language, by their keys: "role.student", "course.status.draft", "lesson.kind.video".
func (c *Catalog) Names(lang string) map[string]string {
	names := map[string]string{}
	for _, messages := range [...]Messages{c.built[English], c.own[lang]} {
		for key := range messages {
			if strings.HasPrefix(key, "role.") || strings.HasPrefix(key, "language.") || strings.HasPrefix(key, "lesson.kind.") || strings.Contains(key, ".status.") {
				names[key] = c.Text(lang, key)
			}
		}
	}
	return names
}

// Count returns the text of a key in the form of a number, which stands in it as {n}: of
// "count.courses" in Russian «1 курс», «2 курса», «5 курсов».
func (c *Catalog) Count(lang, key string, n int64) string {
	m, found, ok := c.find(lang, key)
	if !ok {
		return c.Number(lang, n) + " " + key
	}
	return fill(m.form(language.Make(found), n), []string{"n", c.Number(lang, n)})
}

// Number returns a whole number as it is written in a language: "1,234".
func (c *Catalog) Number(lang string, n int64) string {
	return message.NewPrinter(language.Make(lang)).Sprint(number.Decimal(n))
}

// Date returns the day of a time, in the time's own zone, as it is written in a language:
// "2 January 2026", «2 января 2026 г.».
func (c *Catalog) Date(lang string, t time.Time) string {
	return c.Text(lang, "date", "day", strconv.Itoa(t.Day()), "year", strconv.Itoa(t.Year()),
		"month", c.Text(lang, "month."+strconv.Itoa(int(t.Month()))))
}

// Money returns an amount as it is written in a language, to the last minor unit:
// "$1,999.00", «1 999,00 ₽» with spaces that do not break. No float holds it.
func (c *Catalog) Money(lang string, m core.Money) string {
	printer := message.NewPrinter(language.Make(lang))
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(m.Decimal(), "-"), ".")
	n, _ := strconv.ParseUint(whole, 10, 64) // digits of an int64
	amount := printer.Sprint(number.Decimal(n))
	if fraction != "" {
		point := strings.Trim(printer.Sprint(number.Decimal(0.5)), "05")
		amount += point + fraction
	}
	symbol := m.Currency
	if unit, err := currency.ParseISO(m.Currency); err == nil {
		symbol = printer.Sprint(currency.NarrowSymbol(unit))
	}
	key := "money"
	if m.Minor < 0 {
		key = "money.negative"
	}
	return c.Text(lang, key, "amount", amount, "currency", symbol)
}
