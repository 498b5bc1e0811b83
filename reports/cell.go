package reports

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ustat/ustat/core"
)

// Kind is what a Cell holds.
type Kind uint8

// The kinds of cells.
const (
	KindEmpty Kind = iota
	KindText
	KindInt
	KindDecimal // a number with two digits after the point
	KindMoney
	KindTime
)

// Cell is one value of a report. The zero Cell is empty. Its text is safe: see Text.
type Cell struct {
	kind    Kind
	text    string // of KindText
	number  int64  // of KindInt
	decimal float64
	money   core.Money
	at      time.Time
}

// Text returns a cell of text which no spreadsheet runs as a formula. Where the text,
// or what follows a semicolon, tab or line break in it (which some spreadsheets take
// for the end of a cell whatever the quotes say), begins with = + - @ or their wide
// forms, with or without blanks before it, an apostrophe is put there; so it is before
// an apostrophe, and before a tab or line break at the very beginning. Original takes
// them out again. Bytes that are not UTF-8 become U+FFFD.
func Text(s string) Cell { return Cell{kind: KindText, text: neutral(s)} }

// Int returns a cell of a whole number.
func Int(n int64) Cell { return Cell{kind: KindInt, number: n} }

// Decimal returns a cell of a number that is shown with two digits after the point.
func Decimal(n float64) Cell { return Cell{kind: KindDecimal, decimal: n} }

// Money returns a cell of an amount, without its currency.
func Money(m core.Money) Cell { return Cell{kind: KindMoney, money: m} }

// Time returns a cell of a time, in UTC, and an empty one of the zero Time.
func Time(t time.Time) Cell {
	if t.IsZero() {
		return Cell{}
	}
	return Cell{kind: KindTime, at: t.UTC()}
}

// Kind returns what the cell holds.
func (c Cell) Kind() Kind { return c.kind }

// Int returns the number of a KindInt.
func (c Cell) Int() int64 { return c.number }

// Decimal returns the number of a KindDecimal.
func (c Cell) Decimal() float64 { return c.decimal }

// Money returns the amount of a KindMoney.
func (c Cell) Money() core.Money { return c.money }

// Time returns the time of a KindTime.
func (c Cell) Time() time.Time { return c.at }

// String returns the cell as text: numbers with a point, times in RFC 3339 to the
// second.
func (c Cell) String() string {
	switch c.kind {
	case KindText:
		return c.text
	case KindInt:
		return strconv.FormatInt(c.number, 10)
	case KindDecimal:
		return strconv.FormatFloat(c.decimal, 'f', 2, 64)
	case KindMoney:
		return c.money.Decimal()
	case KindTime:
		return c.at.Format(time.RFC3339)
	}
	return ""
}

// triggers are what a formula may begin with: of ASCII, and the forms of other widths
// that spreadsheets make ASCII of.
const triggers = "=+-@" + "＝＋－＠" + "﹦﹢﹣﹫" + "\u2212"

// ends reports whether a spreadsheet may take the character for the end of a cell.
func ends(r rune) bool { return r == ';' || isBreak(r) }

func isBreak(r rune) bool { return r == '\t' || r == '\r' || r == '\n' }

// blank reports whether a spreadsheet may skip the character at the start of a cell.
func blank(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

func neutral(s string) string {
	text := []rune(strings.ToValidUTF8(s, "\uFFFD"))
	// runs[i] says that what begins at i would be run.
	runs := make([]bool, len(text)+1)
	for i := len(text) - 1; i >= 0; i-- {
		runs[i] = strings.ContainsRune(triggers, text[i]) || blank(text[i]) && runs[i+1]
	}
	var b strings.Builder
	b.Grow(len(s) + 1)
	for i, r := range text {
		first := i == 0 || ends(text[i-1])
		if first && (runs[i] || r == '\'') || i == 0 && isBreak(r) {
			b.WriteByte('\'')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Original returns the text of which Text has made s.
func Original(s string) string {
	var b strings.Builder
	first := true
	for _, r := range s {
		if first && r == '\'' {
			first = false
			continue
		}
		b.WriteRune(r)
		first = ends(r)
	}
	return b.String()
}
