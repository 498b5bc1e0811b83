package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
)

// maxParameters bounds the parameters of a list, whose number SQLite limits.
const maxParameters = 1024

// in returns the condition that a column is one of at least one values, which are
// numbers or valid texts; of these there may be any number. Where the driver takes
// arrays that is one parameter, so that one kept plan serves lists of any length;
// elsewhere their number is rounded up to a power of two by repeating the last one, so
// that there are few texts, and a long list is one parameter in JSON.
func in[T ~int64 | ~string](d *DB, column string, values []T) (string, []any) {
	switch {
	case len(values) == 1:
		return column + " = ?", []any{values[0]}
	case d.dialect.Arrays:
		return column + " = ANY(?)", []any{values}
	case len(values) > maxParameters:
		list, _ := json.Marshal(values) // numbers and texts: it cannot fail
		return column + " IN (SELECT value FROM json_each(?))", []any{string(list)}
	}
	n := 1
	for n < len(values) {
		n *= 2
	}
	args := make([]any, n)
	for i := range args {
		args[i] = values[min(i, len(values)-1)]
	}
	return column + " IN (" + strings.Repeat("?, ", n-1) + "?)", args
}

// roundUp returns the power of two that a list is filled up to, so that there are few
// texts.
func roundUp(n int) int {
	full := 1
	for full < n {
		full *= 2
	}
	return full
}

// pairTable returns a table of at least one pair of ids, filled up to a power of two, so
// that there are few texts.
func pairTable(n int, pair func(i int) (any, any)) (string, []any) {
	const value = "(CAST(? AS BIGINT), CAST(? AS BIGINT))"
	full := roundUp(n)
	args := make([]any, 0, 2*full)
	for i := range full {
		a, b := pair(min(i, n-1))
		args = append(args, a, b)
	}
	return "(VALUES " + value + strings.Repeat(", "+value, full-1) + ")", args
}

// numbered rewrites ? to $1, $2, … . The texts are constants without a ? in them.
func numbered(query string) string {
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

// readAll runs a query of constant text with ? parameters and scans every row.
func readAll[T any](ctx context.Context, s session, query string, args []any, scan func(rows *sql.Rows, row *T) error) (out []T, err error) {
	conn, err := s.conn(ctx)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	defer func() { s.db.hook.tell(ctx, query, start, err) }()
	rows, err := s.query(ctx, conn, query, args)
	if s.tx == nil && errors.Is(err, driver.ErrBadConn) { // one that another caller broke off, and which was handed on
		rows, err = s.query(ctx, conn, query, args)
	}
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		var row T
		if err := scan(rows, &row); err != nil {
			return nil, s.fail(ctx, err)
		}
		out = append(out, row)
	}
	return out, s.fail(ctx, rows.Err())
}
