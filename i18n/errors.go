package i18n

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ustat/ustat/core"
)

// Error returns e as a reader of a language is told it: with its message and those of its
// violations in that language, and everything else as it was. What the language has no
// text for is said in the default language, or else in English.
//
// A message is looked up by the English text of the error itself, which may say more than
// its code does, and then as "error." and the code; a violation by its text, and then as
// "rule." and its code: where it has a limit as "rule.max.limit", in which {limit} stands.
func (c *Catalog) Error(lang string, e *core.Error) *core.Error {
	format, args := e.Format()
	said := *e
	said.Message = c.say(lang, e.Message, []phrase{{format, func(text string) string { return sprintf(text, args) }}, {"error." + e.Code, asItIs}})
	said.Violations = make([]core.Violation, len(e.Violations))
	for i, v := range e.Violations {
		phrases := []phrase{{v.Message, asItIs}, {"rule." + v.Code + ".limit", func(text string) string {
			return fill(text, []string{"limit", c.limit(lang, v.Limit)})
		}}, {"rule." + v.Code, asItIs}}
		if v.Limit == "" {
			phrases = append(phrases[:1], phrases[2])
		}
		v.Message = c.say(lang, v.Message, phrases)
		said.Violations[i] = v
	}
	return &said
}

// phrase is a key, and what makes a sentence of its text.
type phrase struct {
	key  string
	make func(text string) string
}

func asItIs(text string) string { return text }

func sprintf(format string, args []any) string {
	if len(args) == 0 {
		return format
	}
	return fmt.Sprintf(format, args...)
}

// say returns an English sentence in a language, or else in the default one, by the first
// of the phrases that it has. In English only an embedder's texts come before the
// sentence.
func (c *Catalog) say(lang, english string, phrases []phrase) string {
	for _, tag := range slices.Concat(Parents(lang), Parents(c.standard)) {
		for _, messages := range [...]Messages{c.own[tag], c.built[tag]} {
			for _, p := range phrases {
				if m, ok := messages[p.key]; ok {
					return p.make(m.Other)
				}
			}
		}
		if tag == English && english != "" {
			break
		}
	}
	return english
}

// limit returns the bound of a rule in a language: of a number with a unit, such as "64
// bytes", the count.
func (c *Catalog) limit(lang, limit string) string {
	number, unit, ok := strings.Cut(limit, " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil {
		return c.Text(lang, limit)
	}
	return c.Count(lang, "count."+unit, n)
}
