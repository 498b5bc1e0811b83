package sqlstore

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

// hook tells the observer and the counter of a context about each statement.
type hook struct{ observer storage.Observer }

// BeforeQuery implements bun.QueryHook.
func (hook) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

// AfterQuery implements bun.QueryHook.
func (h hook) AfterQuery(ctx context.Context, event *bun.QueryEvent) {
	h.tell(ctx, event.Query, event.StartTime, event.Err)
}

func (h hook) tell(ctx context.Context, query string, start time.Time, err error) {
	if counter := storage.CounterOf(ctx); counter != nil {
		counter.Add()
	}
	if h.observer.OnQuery == nil {
		return
	}
	took := time.Since(start)
	q := storage.Query{Operation: core.Operation(ctx), Type: queryType(query), Duration: took, Slow: took >= h.observer.SlowAfter, Err: err}
	if q.Slow {
		q.SQL = withoutValues(query)
	}
	h.observer.OnQuery(ctx, q)
}

// queryType returns the first word of a statement, in capitals.
func queryType(query string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(query), " ")
	word = strings.ToUpper(word)
	switch word {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "SAVEPOINT", "ROLLBACK", "RELEASE", "CREATE", "ALTER":
		return word
	}
	return "OTHER"
}

// withoutValues returns a statement with every literal replaced by a ?, since Bun
// writes arguments into the text and a log must not hold them. Lists of them are
// folded, so that the text does not grow with a page.
func withoutValues(query string) string {
	const most = 2000
	var b strings.Builder
	for i := 0; i < len(query) && b.Len() < most; {
		c := query[i]
		switch {
		case c == '\'':
			i = endOfString(query, i)
			b.WriteByte('?')
		case c >= '0' && c <= '9' && (i == 0 || !isName(query[i-1])):
			for i < len(query) && (isName(query[i]) || query[i] == '.') {
				i++
			}
			b.WriteByte('?')
		default:
			b.WriteByte(c)
			i++
		}
	}
	text := manyValues.ReplaceAllString(b.String(), "?")
	return manyRows.ReplaceAllString(text, "$1")
}

// manyValues is a list of values, manyRows a list of rows of them.
var (
	manyValues = regexp.MustCompile(`\?(, \?)+`)
	manyRows   = regexp.MustCompile(`(\([?:a-z, ]*\))(, \([?:a-z, ]*\))+`)
)

// endOfString returns where the quoted string at i ends; a doubled quote is in it.
func endOfString(query string, i int) int {
	for i++; i < len(query); i++ {
		if query[i] != '\'' {
			continue
		}
		if i+1 < len(query) && query[i+1] == '\'' {
			i++
			continue
		}
		return i + 1
	}
	return len(query)
}

func isName(c byte) bool {
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
}
