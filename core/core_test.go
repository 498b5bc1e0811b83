package core_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
)

func TestErrorsMatchByCodeAndByKind(t *testing.T) {
	t.Parallel()
	taken := &core.Error{Kind: core.KindConflict, Code: "x.taken", Message: "taken"}
	cause := errors.New("duplicate key")
	err := fmt.Errorf("insert: %w", taken.Because(cause))
	require.ErrorIs(t, err, taken)
	require.ErrorIs(t, err, core.ErrConflict)
	require.ErrorIs(t, err, cause)
	require.NotErrorIs(t, err, core.ErrNotFound)
	require.NotErrorIs(t, core.ErrKeyReused, taken, "two codes of one kind differ")
	require.Equal(t, core.KindConflict, core.KindOf(err))
	require.Equal(t, core.KindInternal, core.KindOf(cause))
	require.Empty(t, taken.Violations, "With and Because return copies")
}

func TestMoneyIsExact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]core.Money{
		"1999": {Minor: 199900, Currency: "RUB"}, "1999.9": {Minor: 199990, Currency: "RUB"}, "0.01": {Minor: 1, Currency: "USD"},
		"-5.00": {Minor: -500, Currency: "EUR"}, "12.00": {Minor: 12, Currency: "JPY"}, "1.234": {Minor: 1234, Currency: "KWD"},
		"92233720368547758.07": {Minor: math.MaxInt64, Currency: "USD"},
	} {
		got, err := core.ParseMoney(text, want.Currency)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
		again, err := core.ParseMoney(got.Decimal(), got.Currency)
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
	for _, bad := range []string{"", ".", "1.", ".5", "1,5", "1.234", "1e3", " 1", "+1", "--1", "92233720368547758.08", "١"} {
		_, err := core.ParseMoney(bad, "USD")
		require.ErrorIs(t, err, core.ErrMoney, bad)
	}
	_, err := core.Money{Minor: math.MaxInt64, Currency: "USD"}.Add(core.Money{Minor: 1, Currency: "USD"})
	require.ErrorIs(t, err, core.ErrMoney)
	_, err = core.Money{Minor: 1, Currency: "USD"}.Add(core.Money{Minor: 1, Currency: "RUB"})
	require.ErrorIs(t, err, core.ErrMoney)
	require.Equal(t, "-0.05 USD", core.Money{Minor: -5, Currency: "USD"}.String())
}

func TestALineIsSeen(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"", "Go", "Основы Go", "مقدمة\u200f (1)", "👩\u200d💻", "a\u200bb", "!", "한국어", "e\u0301"} {
		require.True(t, core.IsLine(good), "%q", good)
	}
	for _, bad := range []string{
		"\u200b", "\ufeff", "\u200d\u200b", "\u3164", "\u115f", "\u2800", "\u00ad", "\ufe0f", "\u0301", // nothing is seen
		"abc\u202egnp.exe", "\u202aa", "a\u2066b", "a\u2069b", // what follows is turned
		" a", "a\u00a0", "a\nb", "a\u2028b", "a\x00b", "a\xff",
	} {
		require.False(t, core.IsLine(bad), "%q", bad)
	}
}

func TestLanguageTagsHaveOneForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"ru": "ru", "RU": "ru", "PT-br": "pt-BR", "zh-hans": "zh-Hans", "iw": "he", "en-US": "en-US"} {
		got, ok := core.LanguageTag(text)
		require.True(t, ok, text)
		require.Equal(t, want, got)
	}
	check := core.NewValidator()
	for _, bad := range []string{"en_US", "", "russian language", "-", "e", "en-", "xx-yy-zz", "ru\x00"} {
		_, ok := core.LanguageTag(bad)
		require.False(t, ok, bad)
		require.ErrorIs(t, check.Struct(struct {
			Language string `validate:"bcp47_language_tag"`
		}{bad}), core.ErrInvalid)
	}
}

func cursors(t testing.TB) *core.Cursors {
	c := new(core.Cursors)
	require.NoError(t, c.SetKey([]byte(strings.Repeat("key ", core.CursorKeySize/4))))
	return c
}

type position struct {
	Keys []int64 `json:"k"`
	ID   int64   `json:"i"`
}

func TestACursorOpensOnlyWhatWasSealedForItsList(t *testing.T) {
	t.Parallel()
	c := cursors(t)
	want := position{[]int64{7, -1}, 42}
	sealed, err := c.Seal("courses/newest", want)
	require.NoError(t, err)
	var got position
	require.NoError(t, c.Open("courses/newest", sealed, &got))
	require.Equal(t, want, got)
	require.ErrorIs(t, c.Open("courses/price", sealed, &got), core.ErrCursor)
	for i := range sealed {
		for _, b := range []byte("A_z0") {
			if sealed[i] == b {
				continue
			}
			changed := sealed[:i] + string(b) + sealed[i+1:]
			require.ErrorIs(t, c.Open("courses/newest", changed, &got), core.ErrCursor, "byte %d", i)
		}
	}
	require.ErrorIs(t, new(core.Cursors).SetKey([]byte("short")), core.ErrInvalid)
	_, err = new(core.Cursors).Seal("x", want)
	require.ErrorIs(t, err, core.ErrUnavailable)
}

func FuzzOpen(f *testing.F) {
	c := cursors(f)
	good, err := c.Seal("list", position{[]int64{1}, 2})
	require.NoError(f, err)
	f.Add(good)
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, cursor string) {
		var p position
		if err := c.Open("list", cursor, &p); err == nil && cursor != good {
			t.Fatalf("%q was taken", cursor)
		}
	})
}

func TestPagesHaveEachRowOnce(t *testing.T) {
	t.Parallel()
	cursors := new(core.Cursors)
	require.NoError(t, cursors.SetKey([]byte("0123456789abcdef0123456789abcdef")))
	rows := make([]int, 45)
	for i := range rows {
		rows[i] = 10 * (i + 1)
	}
	calls := 0
	read := func(page core.Page) (core.PageOf[int], error) {
		return core.ReadPage(cursors, "tens", page,
			func(after, limit int) ([]int, error) {
				calls++
				left := rows[after/10:]
				return left[:min(limit, len(left))], nil
			},
			func(row int) int { return row })
	}
	for _, limit := range []int{0, 1, 7, 9, 44, 45, 46, core.MaxLimit} {
		var got []int
		for page := (core.Page{Limit: limit}); ; {
			part, err := read(page)
			require.NoError(t, err)
			require.NotEmpty(t, part.Items)
			got = append(got, part.Items...)
			if page.Cursor = part.Next; page.Cursor == "" {
				break
			}
			size, err := page.Size()
			require.NoError(t, err)
			require.Len(t, part.Items, size)
		}
		require.Equal(t, rows, got, "limit %d", limit)
	}
	calls = 0
	_, err := read(core.Page{Limit: core.MaxLimit + 1})
	require.ErrorIs(t, err, core.ErrInvalid)
	_, err = read(core.Page{Cursor: "forged"})
	require.ErrorIs(t, err, core.ErrCursor)
	require.Zero(t, calls, "nothing is read for a page that is refused")
	broken := errors.New("broken")
	_, err = core.ReadPage(cursors, "x", core.Page{}, func(int, int) ([]int, error) { return nil, broken }, func(row int) int { return row })
	require.ErrorIs(t, err, broken)
}

func TestValidationNamesEveryBadField(t *testing.T) {
	t.Parallel()
	type input struct {
		Title string `json:"title" validate:"required,max=3"`
		Slug  string `json:"slug" validate:"slug"`
		Role  string `json:"role" validate:"role"`

		Seats  int          `json:"seats" validate:"max=9"`
		Weight *int64       `json:"weight" validate:"omitempty,max=9"`
		Name   *string      `json:"name" validate:"omitempty,max=2"`
		Tags   []string     `json:"tags" validate:"max=1"`
		Token  core.Secret  `json:"token" validate:"max=3"`
		Key    *core.Secret `json:"key" validate:"omitempty,max=3"`
		None   *int         `json:"none" validate:"required"`
	}
	v := core.NewValidator()
	weight, name, secret := int64(10), "abc", core.Secret("hush")
	good := input{Title: "abc", Slug: "a-b", Role: "teacher", None: new(int)}
	require.NoError(t, v.Struct(good))
	err := v.Struct(input{"abcd", "-", "root", 12, &weight, &name, []string{"a", "b"}, secret, &secret, nil})
	var e *core.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, core.KindInvalid, e.Kind)
	fields := []string{}
	for _, x := range e.Violations {
		fields = append(fields, x.Field+" "+x.Code+" "+x.Limit+" "+x.Got)
	}
	require.Equal(t, []string{
		"title max 3 abcd", "slug slug  -", "role role  root", "seats max 9 12", "weight max 9 10", "name max 2 abc",
		"tags max 1 2", "token max 3 ", "key max 3 ", "none required  ",
	}, fields)
}

func TestNestedUseIsSeenByItsContext(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	require.NoError(t, core.CheckNested(ctx))
	require.ErrorIs(t, core.CheckNested(core.EnterUpdate(ctx)), core.ErrNested)
	require.Equal(t, "x.Y", core.Operation(core.WithOperation(ctx, "x.Y")))
}

func TestFoldIgnoresCaseAndForm(t *testing.T) {
	t.Parallel()
	require.Equal(t, core.Fold("АННА@Example.org"), core.Fold("анна@example.ORG"))
	require.Equal(t, core.Fold("Straße"), core.Fold("STRASSE"))
	require.NotEqual(t, core.Fold("елка"), core.Fold("ёлка"))
}

func ExampleParseMoney() {
	price, err := core.ParseMoney("1999.90", "RUB")
	fmt.Println(price.Minor, price, err)
	// Output: 199990 1999.90 RUB <nil>
}
