package reviews

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ustat/ustat/core"
)

// Filter is the default Moderator. It holds what has too many links or a word of a list,
// the same text said again, and too many reviews at once. Its fields are not changed
// while it is in use.
type Filter struct {
	// MaxLinks is how many links a text may have; -1 is none. Zero means 2.
	MaxLinks int
	// RepeatDays is for how many days the author may not say the same of another course;
	// texts of less than 20 characters are not compared. Zero means 30.
	RepeatDays int
	// PerHour is how many reviews one may write in an hour. Zero means 5.
	PerHour int
	// Words are held wherever they stand alone, without regard to case.
	Words []string
}

// minRepeated is from how many characters on a text counts as repeated.
const minRepeated = 20

// Check implements Moderator.
func (f Filter) Check(_ context.Context, d Draft) (Verdict, error) {
	for _, rule := range []struct {
		reason string
		holds  bool
	}{
		{HeldWord, f.hasWord(d.Text)},
		{HeldLinks, links(d.Text) > max(0, cmp.Or(f.MaxLinks, 2))},
		{HeldRepeated, f.repeats(d)},
		{HeldBurst, d.Review == 0 && since(d.Recent, d.At.Add(-time.Hour)) >= cmp.Or(f.PerHour, 5)},
	} {
		if rule.holds {
			return Verdict{Hold: true, Reason: rule.reason}, nil
		}
	}
	return Verdict{}, nil
}

func (f Filter) hasWord(text string) bool {
	if len(f.Words) == 0 {
		return false
	}
	said := strings.FieldsFunc(core.Fold(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.ContainsFunc(f.Words, func(word string) bool { return slices.Contains(said, core.Fold(word)) })
}

// links counts what a reader could follow.
func links(text string) int {
	text = strings.ToLower(text)
	n := strings.Count(text, "://")
	return n + strings.Count(text, "www.") - strings.Count(text, "://www.")
}

func (f Filter) repeats(d Draft) bool {
	text := plain(d.Text)
	if utf8.RuneCountInString(text) < minRepeated {
		return false
	}
	from := d.At.AddDate(0, 0, -cmp.Or(f.RepeatDays, 30))
	return slices.ContainsFunc(d.Recent, func(r Review) bool { return !r.UpdatedAt.Before(from) && plain(r.Text) == text })
}

// plain returns a text by which repeats are found: without case and spacing.
func plain(text string) string { return strings.Join(strings.Fields(core.Fold(text)), " ") }

// since counts the reviews that were written after a time.
func since(recent []Review, from time.Time) (n int) {
	for _, r := range recent {
		if r.CreatedAt.After(from) {
			n++
		}
	}
	return n
}

var _ Moderator = Filter{}
