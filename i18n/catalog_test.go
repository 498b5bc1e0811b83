package i18n_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/i18n"
	"github.com/ustat/ustat/reviews"
)

func catalog(t *testing.T, o *i18n.Options) *i18n.Catalog {
	t.Helper()
	c, err := i18n.NewCatalog(o)
	require.NoError(t, err)
	return c
}

var (
	cyrillic = regexp.MustCompile(`\p{Cyrillic}`)
	latin    = regexp.MustCompile(`[A-Za-z]+`)
	// names are the words that are written alike in Russian.
	names = regexp.MustCompile(`^(JSON|UUID|Europe|Moscow|UTF|UTC|BCP|ISO|CSV|csv|application|json|If|Match|Authorization|Bearer|null|https|TrueType|ru|pt|BR|a|z|T|Z|q|s|n|limit|teacher|issuer|date|code|day|month|year|amount|currency)$`)
)

func assertRussian(t *testing.T, text, what string) {
	t.Helper()
	assert.Regexp(t, cyrillic, text, what)
	for _, word := range latin.FindAllString(text, -1) {
		assert.Regexp(t, names, word, "%s: %q has an English word", what, text)
	}
}

// TestEveryCodeHasBothLanguages walks the source of the module for all that it can say.
func TestEveryCodeHasBothLanguages(t *testing.T) {
	t.Parallel()
	found := scan(t)
	require.Greater(t, len(found.errors), 100)
	require.Greater(t, len(found.rules), 60)
	for _, file := range found.opaque {
		t.Errorf("%s hands on a code that the walk does not understand: see passedOn", file)
	}
	c, ru := catalog(t, nil), i18n.BuiltIn("ru")
	for code, english := range found.errors {
		assert.Contains(t, ru, "error."+code, "no Russian for the error %q", code)
		e := &core.Error{Code: code, Message: english}
		assertRussian(t, c.Error("ru", e).Message, code)
		assert.Equal(t, english, c.Error("en", e).Message)
	}
	for rule, english := range found.rules {
		assert.Contains(t, ru, "rule."+rule, "no Russian for the rule %q", rule)
		for _, limit := range []string{"", "200", "1-100", "64 bytes"} {
			e := core.ErrInvalid.With(core.Violation{Field: "x", Code: rule, Limit: limit, Message: english})
			assertRussian(t, c.Error("ru", e).Violations[0].Message, rule+" "+limit)
		}
	}
	for format, file := range found.formats {
		if told(file) {
			assert.Contains(t, ru, format, "no Russian for what %s says", file)
		}
	}
	for key := range ru { // nothing is left of what the code no longer says
		if code, ok := strings.CutPrefix(key, "error."); ok && code != "body_too_large" && code != "query_too_long" { // by one variable
			assert.Contains(t, found.errors, code, "the code says no %q", key)
		}
		if rule, ok := strings.CutPrefix(key, "rule."); ok && !strings.HasSuffix(rule, ".limit") && rule != "core.bad_cursor" {
			assert.Contains(t, found.rules, rule, "the code says no %q", key)
		}
	}
}

// told reports whether a reader of the API is told what a file says, and not only an
// operator.
func told(file string) bool {
	for _, prefix := range []string{"httpapi/", "courses/", "reviews/", "reports/", "accounts/"} {
		if strings.HasPrefix(file, prefix) {
			return true
		}
	}
	return false
}

func TestNoKeyLacksALanguage(t *testing.T) {
	t.Parallel()
	en, ru := i18n.BuiltIn("en"), i18n.BuiltIn("ru")
	for key := range en {
		assert.Contains(t, ru, key)
	}
	for key := range ru {
		named := !strings.Contains(key, " ") && strings.Contains(key, ".") && !strings.HasPrefix(key, "error.") && !strings.HasPrefix(key, "rule.")
		if named { // what is neither an English text nor found by one
			assert.Contains(t, en, key)
		}
	}
	for key, m := range ru {
		if m.Few != "" || strings.HasPrefix(key, "count.") {
			for _, form := range []string{m.One, m.Few, m.Many, m.Other} {
				assert.Contains(t, form, "{n}", key)
			}
			assert.Contains(t, en[key].One, "{n}", key)
		}
	}
	var want []string
	for _, r := range core.Roles {
		want = append(want, "role."+string(r))
	}
	for _, s := range courses.Statuses {
		want = append(want, "course.status."+string(s))
	}
	for _, s := range courses.EnrollmentStatuses {
		want = append(want, "enrollment.status."+string(s))
	}
	for _, s := range courses.OrderStatuses {
		want = append(want, "order.status."+string(s))
	}
	for _, s := range reviews.Statuses {
		want = append(want, "review.status."+string(s))
	}
	for _, s := range []courses.CertificateStatus{courses.CertificateValid, courses.CertificateRevoked} {
		want = append(want, "certificate.status."+string(s))
	}
	for _, key := range want {
		assert.Contains(t, en, key)
		assertRussian(t, ru[key].Other, key)
	}
}

func TestCountsTakeTheFormOfTheirNumber(t *testing.T) {
	t.Parallel()
	c := catalog(t, nil)
	for n, want := range map[int64]string{
		0: "0 курсов", 1: "1 курс", 2: "2 курса", 4: "4 курса", 5: "5 курсов", 11: "11 курсов", 12: "12 курсов", 14: "14 курсов", 21: "21 курс",
		22: "22 курса", 111: "111 курсов", 101: "101 курс", -1: "-1 курс", 1_000_000: "1 000 000 курсов", 4_000_000_002: "4 000 000 002 курса", 9_000_000_000_000_000_001: "9 000 000 000 000 000 001 курс",
	} {
		assert.Equal(t, want, strings.ReplaceAll(c.Count("ru", "count.courses", n), "\u00a0", " "))
	}
	assert.Equal(t, "1 course", c.Count("en", "count.courses", 1))
	assert.Equal(t, "1,234 courses", c.Count("en-GB", "count.courses", 1234))
	assert.Equal(t, "5 courses", c.Count("de", "count.courses", 5), "a language without texts")
}

func TestDatesAndMoney(t *testing.T) {
	t.Parallel()
	c := catalog(t, nil)
	day := time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC)
	assert.Equal(t, "31 января 2026 г.", c.Date("ru", day))
	assert.Equal(t, "31 January 2026", c.Date("en", day))
	for _, test := range []struct {
		m      core.Money
		ru, en string
	}{
		{core.Money{Minor: 199900, Currency: "RUB"}, "1 999,00 ₽", "₽1,999.00"},
		{core.Money{Minor: 5, Currency: "USD"}, "0,05 $", "$0.05"},
		{core.Money{Minor: -123456789, Currency: "USD"}, "−1 234 567,89 $", "−$1,234,567.89"},
		{core.Money{Minor: 1500, Currency: "JPY"}, "1 500 ¥", "¥1,500"},
		{core.Money{Minor: 1, Currency: "KWD"}, "0,001 KWD", "KWD0.001"},
		{core.Money{Minor: 9223372036854775807, Currency: "EUR"}, "92 233 720 368 547 758,07 €", "€92,233,720,368,547,758.07"},
		{core.Money{Minor: -9223372036854775808, Currency: "EUR"}, "−92 233 720 368 547 758,08 €", "−€92,233,720,368,547,758.08"},
	} {
		assert.Equal(t, test.ru, strings.ReplaceAll(c.Money("ru", test.m), "\u00a0", " "))
		assert.Equal(t, test.en, c.Money("en", test.m))
	}
}

func TestAnEmbedderAddsAndOverridesTexts(t *testing.T) {
	t.Parallel()
	kk, err := i18n.ParseMessages([]byte(`{"role.student": "Тыңдаушы", "error.courses.not_found": "мұндай курс жоқ", "count.courses": {"one": "{n} курс", "other": "{n} курс"}}`))
	require.NoError(t, err)
	c := catalog(t, &i18n.Options{Default: "ru", Messages: map[string]i18n.Messages{
		"kk": kk,
		"en": {"error.courses.not_found": i18n.Text("no such class"), "rule.max.limit": i18n.Text("{limit} at most")},
		"ru": {"role.student": i18n.Text("Ученик"), "the body is invalid": i18n.Text("поля заполнены неверно")},
	}})
	assert.Equal(t, []string{"ru", "en", "kk"}, c.Languages())
	assert.Equal(t, "Тыңдаушы", c.Text("kk", "role.student"))
	assert.Equal(t, "Преподаватель", c.Text("kk", "role.teacher"), "what a language lacks is said in the default one")
	assert.Equal(t, "Ученик", c.Text("ru", "role.student"))
	assert.Equal(t, "мұндай курс жоқ", c.Error("kk", courses.ErrCourseNotFound).Message)
	assert.Equal(t, "no such class", c.Error("en", courses.ErrCourseNotFound).Message)
	assert.Equal(t, "no such class", c.Error("en-GB", courses.ErrCourseNotFound).Message)
	assert.Equal(t, "there is no such lesson", c.Error("en", courses.ErrLessonNotFound).Message)
	assert.Equal(t, "такого урока нет", c.Error("kk", courses.ErrLessonNotFound).Message)
	assert.Equal(t, "поля заполнены неверно", c.Error("ru", core.ErrInvalid.Withf("the body is invalid")).Message)
	long := core.Invalid("title", "max", "200", "", "longer or larger than 200")
	assert.Equal(t, "200 at most", c.Error("en", long).Violations[0].Message)
	assert.Equal(t, "kk", c.Negotiate(i18n.Sources{Header: "kk"}).Language)
}

func TestOptionsThatAreWrong(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]i18n.Options{
		"a default without texts": {Default: "fr"},
		"no language":             {Messages: map[string]i18n.Messages{"klingonese": {}}},
		"an empty text":           {Messages: map[string]i18n.Messages{"kk": {"role.student": i18n.Text("")}}},
		"a language twice":        {Messages: map[string]i18n.Messages{"kk": {}, "KK": {}}},
	} {
		_, err := i18n.NewCatalog(&o)
		assert.ErrorIs(t, err, core.ErrInvalid, name)
	}
	for _, bad := range []string{``, `[]`, `{"a": 1}`, `{"a": {"one": "x"}}`, `{"a": {"other": "x", "plenty": "y"}}`, `{"a": ""}`} {
		_, err := i18n.ParseMessages([]byte(bad))
		assert.ErrorIs(t, err, core.ErrInvalid, bad)
	}
}

func TestMessagesSayMoreThanTheirCodes(t *testing.T) {
	t.Parallel()
	c := catalog(t, nil)
	e := courses.ErrTransition.Withf("the course is %q: only one that is %q can become %q", "draft", "review", "published")
	assert.Equal(t, `состояние курса — "draft": в "published" переходят только из "review"`, c.Error("ru", e).Message)
	assert.Equal(t, e.Message, c.Error("en", e).Message)
	require.ErrorIs(t, c.Error("ru", e), courses.ErrTransition)
	other := courses.ErrTransition.Withf("something that nobody has translated: %d", 7)
	assert.Equal(t, "курс нельзя перевести из его состояния в это", c.Error("ru", other).Message)
	assert.Equal(t, "слишком много или слишком длинно: предел — 20 слов", c.Error("ru", core.Invalid("q", "max", "20 words", "", "")).Violations[0].Message)
	assert.Equal(t, "тип значения не тот: ожидается строка", c.Error("ru", core.Invalid("q", "type", "a string", "", "")).Violations[0].Message)
	assert.Empty(t, e.Violations, "the error itself is not changed")
}

func TestFormatsOfTranslationsTakeTheirArguments(t *testing.T) {
	t.Parallel()
	verbs := regexp.MustCompile(`%(\[(\d)\])?[a-z]`)
	for _, key := range slices.Sorted(maps.Keys(i18n.BuiltIn("ru"))) {
		want := verbs.FindAllString(key, -1)
		said := verbs.FindAllStringSubmatch(i18n.BuiltIn("ru")[key].Other, -1)
		if len(want) == 0 {
			assert.Empty(t, said, key)
			continue
		}
		assert.NotEmpty(t, said, key)
		for i, verb := range said {
			at := i
			if verb[2] != "" {
				at = int(verb[2][0] - '1')
			}
			if assert.Less(t, at, len(want), key) {
				assert.Equal(t, want[at][len(want[at])-1], verb[0][len(verb[0])-1], key)
			}
		}
	}
}
