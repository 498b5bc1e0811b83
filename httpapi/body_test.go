package httpapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/httpapi"
)

type bodyInput struct {
	Title  string      `json:"title"`
	Secret core.Secret `json:"secret"`
	Count  *int64      `json:"count"`
	Tags   []string    `json:"tags"`
	Free   *bool       `json:"free"`
	Price  *struct {
		Minor    int64  `json:"amount_minor"`
		Currency string `json:"currency"`
	} `json:"price"`
	Version int64 `json:"-"`
}

func readInput(body string, limit int64) (bodyInput, error) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	var in bodyInput
	err := httpapi.ReadBody(r, limit, &in)
	return in, err
}

func TestABodyIsReadWhole(t *testing.T) {
	t.Parallel()
	in, err := readInput(` {"title":"Ёж \ud83d\ude00","secret":"s","count":-3,"tags":["a","b"],"free":false,"price":{"amount_minor":5,"currency":"RUB"}} `, 1000)
	require.NoError(t, err)
	assert.Equal(t, "Ёж 😀", in.Title)
	assert.Equal(t, core.Secret("s"), in.Secret)
	assert.EqualValues(t, -3, *in.Count)
	assert.Equal(t, []string{"a", "b"}, in.Tags)
	assert.False(t, *in.Free)
	assert.EqualValues(t, 5, in.Price.Minor)
	in, err = readInput(`{}`, 1000)
	require.NoError(t, err)
	assert.Nil(t, in.Count, "what is left out is nil")
}

func TestABodyIsRefusedByField(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"TITLE":"x"}`:                      "TITLE unknown_field",
		`{"Version":3}`:                      "Version unknown_field",
		`{"version":3,"role":"admin"}`:       "version unknown_field, role unknown_field",
		`{"title":"a","title":"b"}`:          "title repeated",
		`{"title":"a","\u0074itle":"b"}`:     "title repeated",
		`{"title":null}`:                     "title null",
		`{"title":5,"count":"x","free":"x"}`: "title type, count type, free type",
		`{"count":1.0}`:                      "count integer",
		`{"count":1e2}`:                      "count integer",
		`{"count":9223372036854775808}`:      "count integer",
		`{"tags":["a",7,"b",null]}`:          "tags[1] type, tags[3] null",
		`{"tags":"a"}`:                       "tags type",
		`{"tags":{"a":1}}`:                   "tags type",
		`{"price":[1]}`:                      "price type",
		`{"price":{"amount_minor":1,"amount_minor":2,"tax":{"deep":[1,{"x":2}]}}}`: "price.amount_minor repeated, price.tax unknown_field",
		`[]`:                   "body type",
		`"x"`:                  "body type",
		`null`:                 "body null",
		`{"title":"a\u0000b"}`: "title text",
		`{"title":"\ud800"}`:   "title text",
		`{"title":"\uDFFF","tags":["\ud83d\ude00\ude00"]}`:                     "title text, tags[0] text",
		`{"tags":["\ud83dx\ude00","\ud83d\n","\ud83d\ud83d\ude00","\\ud800"]}`: "tags[0] text, tags[1] text, tags[2] text",
		`{ "tags" : [ "x" , "\ud800" ] }`:                                      "tags[1] text",
	} {
		_, err := readInput(body, 1000)
		require.ErrorIs(t, err, core.ErrInvalid, body)
		var e *core.Error
		require.ErrorAs(t, err, &e)
		var got []string
		for _, v := range e.Violations {
			got = append(got, v.Field+" "+v.Code)
			assert.NotEmpty(t, v.Message)
		}
		assert.Equal(t, want, strings.Join(got, ", "), body)
	}
}

func TestABodyThatIsNoJSONIsRefused(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	for _, body := range []string{
		`{`, `{"title":"x"`, `{"title"}`, `{title:1}`, `{"title":"x"} {}`, `{"title":"x"}x`, "{\"title\":\"\xff\"}", `{'title':1}`, `{"title":"x",}`,
		"\ufeff{}", deep, strings.Repeat("[", 100_000), `{"title": tru}`,
	} {
		_, err := readInput(body, 1<<20)
		var e *core.Error
		require.ErrorAs(t, err, &e, body)
		assert.Equal(t, "bad_json", e.Code, body)
	}
}

func TestABodyHasBounds(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return `{"title":"` + strings.Repeat("a", n-12) + `"}` }
	_, err := readInput(text(1000), 1000)
	require.NoError(t, err)
	_, err = readInput(text(1001), 1000)
	var p *httpapi.Problem
	require.ErrorAs(t, err, &p)
	assert.Equal(t, http.StatusRequestEntityTooLarge, p.Status)
	assert.Equal(t, "1000", p.Errors[0].Limit)

	list := func(n int) string { return `{"tags":[` + strings.TrimSuffix(strings.Repeat(`"a",`, n), ",") + `]}` }
	_, err = readInput(list(1000), 1<<20)
	require.NoError(t, err)
	_, err = readInput(list(1001), 1<<20)
	require.ErrorIs(t, err, core.ErrInvalid)

	var many strings.Builder
	for i := range 990 {
		fmt.Fprintf(&many, `"x%d":1,`, i)
	}
	_, err = readInput("{"+strings.TrimSuffix(many.String(), ",")+"}", 1<<20)
	var e *core.Error
	require.ErrorAs(t, err, &e)
	assert.Len(t, e.Violations, 20, "violations are bounded")
}

func TestABodySaysItsType(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]int{
		"application/json": 0, "application/json; charset=utf-8": 0, "Application/JSON;charset=UTF-8": 0,
		"": 415, "text/plain": 415, "application/json; charset=latin1": 415, "application/x-www-form-urlencoded": 415, "multipart/form-data": 415, ";;": 415,
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{}`))
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		err := httpapi.ReadBody(r, 100, new(bodyInput))
		if want == 0 {
			assert.NoError(t, err, kind)
			continue
		}
		p, ok := errors.AsType[*httpapi.Problem](err)
		require.True(t, ok, kind)
		assert.Equal(t, want, p.Status, kind)
	}
}

// TestReadingABodyIsLinear doubles hostile bodies: twice the bytes take about twice
// the allocation.
func TestReadingABodyIsLinear(t *testing.T) { // not parallel: it looks at what is allocated
	for name, body := range map[string]func(n int) string{
		"a long string":   func(n int) string { return `{"title":"` + strings.Repeat("a", n) + `"}` },
		"escapes":         func(n int) string { return `{"title":"` + strings.Repeat(`\u0041`, n/6) + `"}` },
		"unknown fields":  func(n int) string { return `{"x":[` + strings.TrimSuffix(strings.Repeat(`{},`, n/3), ",") + `]}` },
		"repeated fields": func(n int) string { return `{` + strings.TrimSuffix(strings.Repeat(`"a":1,`, n/6), ",") + `}` },
	} {
		allocated := func(n int) float64 {
			text := body(n)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = readInput(text, 4<<20)
			runtime.ReadMemStats(&after)
			return float64(after.TotalAlloc - before.TotalAlloc)
		}
		small, large := allocated(256<<10), allocated(512<<10)
		assert.LessOrEqual(t, large/small, 2.5, name)
		assert.LessOrEqual(t, large, float64(10*512<<10), "%s: at most ten times the body", name)
	}
}

func FuzzReadBody(f *testing.F) {
	for _, seed := range []string{`{}`, `{"title":"x","tags":["a"]}`, `{"price":{"amount_minor":1}}`, `[[[[`, `{"title":"\ud800"}`, `{"count":-0}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		begun := time.Now()
		in, err := readInput(body, 64<<10)
		if err == nil && !core.ValidText(in.Title) {
			t.Fatalf("%q was taken", in.Title)
		}
		if time.Since(begun) > 2*time.Second {
			t.Fatal("too slow")
		}
	})
}
