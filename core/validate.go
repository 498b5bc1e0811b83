package core

import (
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-playground/validator/v10"
	"golang.org/x/text/language"
)

// Validator checks input structs by their validate tags and reports every bad
// field together. It is built once and is safe for concurrent use.
//
// Beside the tags of validator v10 it knows: slug (1 to 120 of a-z, 0-9 and -,
// starting and ending with a letter or digit), username (3 to 64 of a-z, 0-9, _, .
// and -), role, text (valid UTF-8 without NUL), line (as IsLine has it),
// bcp47_language_tag (as LanguageTag has it), https (an absolute https URL with a host), phone
// (E.164, or empty) and password (8 to 1,024 bytes).
type Validator struct{ v *validator.Validate }

// NewValidator returns a Validator with Ustat's own tags.
func NewValidator() *Validator {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || name == "" {
			return f.Name
		}
		return name
	})
	for tag, ok := range map[string]func(string) bool{
		"slug":     IsSlug,
		"username": IsUsername,
		"role":     func(s string) bool { return Role(s).Rank() > 0 },
		"text":     ValidText,
		"line":     IsLine,
		// In the place of validator's own, which takes more.
		"bcp47_language_tag": func(s string) bool { _, ok := LanguageTag(s); return ok },
		"https":              IsHTTPS,
		"phone":              func(s string) bool { return s == "" || IsPhone(s) },
		"password":           func(s string) bool { return len(s) >= MinPassword && len(s) <= MaxPassword },
	} {
		// The error is for an empty tag or a nil function, neither of which is here.
		_ = v.RegisterValidation(tag, func(fl validator.FieldLevel) bool { return ok(fl.Field().String()) })
	}
	return &Validator{v}
}

// IsSlug reports whether s is 1 to 120 of a-z, 0-9 and -, with a letter or digit at
// both ends.
func IsSlug(s string) bool {
	return len(s) >= 1 && len(s) <= 120 && s[0] != '-' && s[len(s)-1] != '-' && isPlain(s, "-")
}

// IsUsername reports whether s is 3 to 64 of a-z, 0-9, _, . and -, with a letter or
// digit in front.
func IsUsername(s string) bool {
	return len(s) >= 3 && len(s) <= 64 && isPlain(s[:1], "") && isPlain(s, "_.-")
}

// isPlain reports whether s has nothing but a-z, 0-9 and the bytes of also.
func isPlain(s, also string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte(also, c) < 0 {
			return false
		}
	}
	return true
}

// ValidText reports whether s is valid UTF-8 without NUL bytes, which is what
// every engine can keep.
func ValidText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// IsLine reports whether s is one line of text, or empty: valid UTF-8 without control
// characters, line breaks among them, without white space at its ends, without what
// IsBidiControl names, and with something in it that is seen.
func IsLine(s string) bool {
	if !utf8.ValidString(s) || strings.TrimSpace(s) != s {
		return false
	}
	return s == "" || strings.ContainsFunc(s, isSeen) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || IsBidiControl(r)
	})
}

// isSeen reports whether a character leaves ink by itself: a letter, number, sign or
// symbol that is not made to be blank.
func isSeen(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) && r != '\u2800' && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// IsBidiControl reports whether a character turns the direction of what follows it:
// an embedding, an override or an isolate, which reach beyond a text that does not
// close them. The marks of Arabic and Hebrew (U+061C, U+200E, U+200F) do not.
func IsBidiControl(r rune) bool {
	return r >= '\u202A' && r <= '\u202E' || r >= '\u2066' && r <= '\u2069'
}

// LanguageTag returns a tag of BCP 47 in its canonical form ("pt-BR" for "PT-br", "he"
// for "iw"), and false for what is none, "en_US" among them.
func LanguageTag(s string) (string, bool) {
	tag, err := language.Parse(s)
	if err != nil || strings.Contains(s, "_") {
		return "", false
	}
	return tag.String(), true
}

// IsHTTPS reports whether s is an absolute https URL with a host and without a
// password.
func IsHTTPS(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && IsLine(s)
}

// The bounds of a password in bytes.
const (
	MinPassword = 8
	MaxPassword = 1024
)

// IsPhone reports whether s is a number of E.164: a plus and 7 to 15 digits, of
// which the first is not 0.
func IsPhone(s string) bool {
	if len(s) < 8 || len(s) > 16 || s[0] != '+' || s[1] == '0' {
		return false
	}
	return strings.Trim(s[1:], "0123456789") == ""
}

// Struct returns nil, or an ErrInvalid with one violation a bad field.
func (v *Validator) Struct(input any) error {
	err := v.v.Struct(input)
	if err == nil {
		return nil
	}
	fields, ok := err.(validator.ValidationErrors)
	if !ok {
		return ErrInternal.Because(err)
	}
	violations := make([]Violation, len(fields))
	for i, f := range fields {
		_, path, _ := strings.Cut(f.Namespace(), ".")
		rule := f.Tag()[strings.LastIndexByte(f.Tag(), '|')+1:] // of alternatives the last is named
		violations[i] = Violation{Field: path, Code: rule, Limit: f.Param(), Got: cut(received(f)), Message: ruleMessage(rule, f.Param())}
	}
	return ErrInvalid.With(violations...)
}

// received returns a bad value as it was given: text, numbers and truth values, and what
// pointers to them point to; of lists and maps how many there are. A Secret is no part of
// an error, nor is a password or a struct.
func received(f validator.FieldError) string {
	v := reflect.ValueOf(f.Value())
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case f.Tag() == "password", v.IsValid() && v.Type() == reflect.TypeFor[Secret]():
		return ""
	case v.Kind() == reflect.String:
		return v.String()
	case v.CanInt(), v.CanUint(), v.CanFloat(), v.Kind() == reflect.Bool:
		return fmt.Sprint(v.Interface())
	case v.Kind() == reflect.Slice, v.Kind() == reflect.Map:
		return strconv.Itoa(v.Len())
	}
	return ""
}

func ruleMessage(tag, limit string) string {
	switch tag {
	case "required":
		return "this is required"
	case "max":
		return "longer or larger than " + limit
	case "min", "gte":
		return "shorter or smaller than " + limit
	case "oneof":
		return "not one of: " + limit
	case "slug":
		return "not a slug: 1 to 120 of a-z, 0-9 and -, with a letter or digit at both ends"
	case "username":
		return "not a username: 3 to 64 of a-z, 0-9, _, . and -"
	case "text":
		return "not valid UTF-8, or it has a NUL byte"
	case "line":
		return "not one line of text that is seen: no control characters, no space at the ends"
	case "https":
		return "not a URL that begins with https:// and a host"
	case "password":
		return "not 8 to 1,024 bytes long"
	case "phone":
		return "not a phone number in the form +77011234567"
	case "email":
		return "not an e-mail address"
	case "iso4217":
		return "not a currency of ISO 4217"
	case "bcp47_language_tag":
		return "not a language tag of BCP 47"
	}
	return "breaks the rule " + tag
}
