package shardstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/ustat/ustat/storage/internal/sqlstore"
)

// kind is the type of a column.
type kind int

const (
	integer kind = iota
	text
	optionalText // NULL where it is empty
	bytes
	moment // a time as the engine keeps it
	uuids
)

// arrayType is how PostgreSQL calls an array of a kind.
var arrayType = [...]string{"bigint[]", "text[]", "text[]", "bytea[]", "timestamptz[]", "uuid[]"}

// column is one of a table.
type column struct {
	name string
	kind kind
}

// table is one of a shard, of which the first keys columns are its key.
type table struct {
	name    string
	keys    int
	columns []column
}

// columns returns columns of one kind.
func columns(k kind, names string) (list []column) {
	for _, name := range strings.Fields(names) {
		list = append(list, column{name, k})
	}
	return list
}

func (t *table) names() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return names
}

// list returns the names of the columns, parted by commas.
func (t *table) list() string { return strings.Join(t.names(), ", ") }

// key returns the names of the key's columns, parted by commas.
func (t *table) key() string { return strings.Join(t.names()[:t.keys], ", ") }

// replace is what an insert does with a row that is there: it takes its place.
func (t *table) replace() string { return t.conflict(func(c string) string { return "excluded." + c }) }

// add is what an insert does with a row that is there: it adds to it.
func (t *table) add() string {
	return t.conflict(func(c string) string { return t.name + "." + c + " + excluded." + c })
}

func (t *table) conflict(value func(column string) string) string {
	var set []string
	for _, name := range t.names()[t.keys:] {
		set = append(set, name+" = "+value(name))
	}
	return " ON CONFLICT (" + t.key() + ") DO UPDATE SET " + strings.Join(set, ", ")
}

// blockRows is how many rows one statement has at most on SQLite, which bounds the
// parameters of one. On PostgreSQL each column is one parameter.
const blockRows = 256

// insert writes rows, whose values are in the order of the columns, and what is to be done
// with those that are there.
func (t *table) insert(ctx context.Context, s sqlstore.Session, arrays bool, rows [][]any, conflict string) error {
	for len(rows) > 0 {
		query, args, n := t.statement(arrays, rows)
		if _, err := s.Exec(ctx, query+conflict, args...); err != nil {
			return fmt.Errorf("write %s: %w", t.name, err)
		}
		rows = rows[n:]
	}
	return nil
}

// insertReturning is insert, and reads what the statement returns.
func insertReturning[T any](ctx context.Context, t *table, s sqlstore.Session, arrays bool, rows [][]any, conflict string, scan func(rows *sql.Rows, row *T) error) (all []T, err error) {
	for len(rows) > 0 {
		query, args, n := t.statement(arrays, rows)
		got, err := sqlstore.ReadAll(ctx, s, query+conflict, args, scan)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", t.name, err)
		}
		all, rows = append(all, got...), rows[n:]
	}
	return all, nil
}

// statement returns the insert of the first n rows. There are few texts of it: on SQLite n
// is a power of two.
func (t *table) statement(arrays bool, rows [][]any) (query string, args []any, n int) {
	if arrays {
		var values, parameters []string
		for i, c := range t.columns {
			value := c.name
			if c.kind == optionalText {
				value = "NULLIF(" + c.name + ", '')::json"
			}
			values = append(values, value)
			parameters = append(parameters, "?::"+arrayType[c.kind])
			args = append(args, array(c.kind, rows, i))
		}
		return "INSERT INTO " + t.name + " (" + t.list() + ") SELECT " + strings.Join(values, ", ") +
			" FROM unnest(" + strings.Join(parameters, ", ") + ") AS v (" + t.list() + ")", args, len(rows)
	}
	n = 1
	for 2*n <= min(len(rows), blockRows) {
		n *= 2
	}
	args = make([]any, 0, n*len(t.columns))
	for _, row := range rows[:n] {
		for i, c := range t.columns {
			if c.kind == optionalText && row[i] == "" {
				args = append(args, nil)
				continue
			}
			args = append(args, row[i])
		}
	}
	row := "(" + strings.Repeat("?, ", len(t.columns)-1) + "?)"
	return "INSERT INTO " + t.name + " (" + t.list() + ") VALUES " + strings.Repeat(row+", ", n-1) + row, args, n
}

// array returns a column of rows as a slice that the driver knows.
func array(k kind, rows [][]any, i int) any {
	switch k {
	case text, optionalText:
		return slice[string](rows, i)
	case bytes:
		return slice[[]byte](rows, i)
	case moment:
		return slice[time.Time](rows, i)
	case uuids:
		return slice[[16]byte](rows, i)
	}
	return slice[int64](rows, i)
}

func slice[T any](rows [][]any, i int) []T {
	list := make([]T, len(rows))
	for at, row := range rows {
		list[at] = row[i].(T)
	}
	return list
}
