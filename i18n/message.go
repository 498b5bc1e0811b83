package i18n

import (
	"encoding/json"
	"errors"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"github.com/ustat/ustat/core"
)

// Messages are the texts of one language by key. A key is either a name with dots, such
// as "role.student", or the English text that stands in the code.
type Messages map[string]Message

// Message is a text, or the forms of one that depend on a number. What stands in braces,
// such as {limit}, is filled in. In JSON it is a string, or an object of the forms by
// CLDR's names: "zero", "one", "two", "few", "many", "other".
type Message struct {
	Zero  string `json:"zero,omitempty"`
	One   string `json:"one,omitempty"`
	Two   string `json:"two,omitempty"`
	Few   string `json:"few,omitempty"`
	Many  string `json:"many,omitempty"`
	Other string `json:"other"` // the text itself where there are no forms; never empty
}

// Text returns a message without forms.
func Text(text string) Message { return Message{Other: text} }

// UnmarshalJSON reads a string or an object of forms.
func (m *Message) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*m = Text(text)
		return nil
	}
	type forms Message
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	return decoder.Decode((*forms)(m))
}

// ParseMessages reads a JSON object of messages by key. It fails with core.ErrInvalid.
func ParseMessages(data []byte) (Messages, error) {
	var m Messages
	if err := json.Unmarshal(data, &m); err != nil {
		got := ""
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			got = string(data[max(0, syntax.Offset-20):min(int64(len(data)), syntax.Offset+20)])
		}
		return nil, core.Invalid("messages", "json", "", got, "an object of texts by key is expected").Because(err)
	}
	return m, m.check("messages")
}

func (m Messages) check(field string) error {
	for key, message := range m {
		if message.Other == "" || key == "" {
			return core.Invalid(field+"["+key+"]", "required", "", "", "a text is expected, of forms the one named other")
		}
	}
	return nil
}

// form returns the form of a whole number in a language.
func (m Message) form(tag language.Tag, n int64) string {
	if n < 0 {
		n = -n
	}
	if n >= 1_000_000 {
		n = n%1_000_000 + 1_000_000 // what the rules look at, in the range that they take
	}
	text := m.Other
	switch plural.Cardinal.MatchPlural(tag, int(n), 0, 0, 0, 0) {
	case plural.Zero:
		text = m.Zero
	case plural.One:
		text = m.One
	case plural.Two:
		text = m.Two
	case plural.Few:
		text = m.Few
	case plural.Many:
		text = m.Many
	}
	if text == "" {
		return m.Other
	}
	return text
}

// fill puts values in the place of their names in braces. Pairs are name, value, …
func fill(text string, pairs []string) string {
	if len(pairs) == 0 || !strings.Contains(text, "{") {
		return text
	}
	braced := make([]string, len(pairs))
	for i, s := range pairs {
		if braced[i] = s; i%2 == 0 {
			braced[i] = "{" + s + "}"
		}
	}
	return strings.NewReplacer(braced...).Replace(text)
}
