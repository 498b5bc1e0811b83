package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	bunschema "github.com/uptrace/bun/schema"
)

// Parsing and planning is most of what a short statement costs (see bench/), so those
// of constant text with parameters are prepared once: by the driver, where it keeps the
// plans of a connection, and here for the others.

// maxStatements bounds the prepared statements that are kept of a pool. The texts are
// made of constants, so a program has some dozens of them.
const maxStatements = 512

// maxKept bounds the parameters of a statement that is kept: those of longer lists come
// in too many texts.
const maxKept = 64

// statements keeps prepared statements of a pool by their text.
type statements struct {
	mu   sync.RWMutex
	text map[string]*sql.Stmt
}

// known returns the statement of a text, or nil; wanted says that it may be added.
func (c *statements) known(query string) (stmt *sql.Stmt, wanted bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	stmt = c.text[query]
	return stmt, stmt == nil && len(c.text) < maxStatements
}

// get returns the statement of a text, or nil when there are too many already.
func (c *statements) get(ctx context.Context, db *sql.DB, query string) (*sql.Stmt, error) {
	stmt, wanted := c.known(query)
	if !wanted {
		return stmt, nil
	}
	stmt, err := db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if first := c.text[query]; first != nil {
		return first, stmt.Close()
	}
	c.text[query] = stmt
	return stmt, nil
}

// prepared returns the statement of a text for a connection, or nil where it is to be
// sent as it is. Inside a transaction the one connection of the writer is taken, so a
// text that is met there for the first time is noted, and prepared when it has ended.
func (s session) prepared(ctx context.Context, conn bun.IConn, query string) (*sql.Stmt, error) {
	switch conn := conn.(type) {
	case *sql.DB:
		return s.db.statements.get(ctx, conn, query)
	case *sql.Tx:
		if s.tx == nil || conn == s.db.joined || s.db.gate == nil {
			return nil, nil
		}
		stmt, wanted := s.db.written.known(query)
		if stmt != nil {
			return conn.StmtContext(ctx, stmt), nil
		}
		if wanted && len(s.tx.unprepared) < maxKept && !slices.Contains(s.tx.unprepared, query) {
			s.tx.unprepared = append(s.tx.unprepared, query)
		}
	}
	return nil, nil
}

// prepare keeps the statements that a transaction has met for the first time. It is
// called by who still holds the writer. What cannot be prepared is only not kept.
func (d *DB) prepare(ctx context.Context, texts []string) {
	for _, query := range texts {
		if _, err := d.written.get(ctx, d.writer, query); err != nil {
			return
		}
	}
}

// query runs a query of constant text with ? parameters through whatever keeps its plan.
func (s session) query(ctx context.Context, conn bun.IConn, query string, args []any) (*sql.Rows, error) {
	if mode := s.db.dialect.CachedMode; mode != nil {
		query, args = writeLimit(query, args)
		return conn.QueryContext(ctx, numbered(query), append([]any{mode}, args...)...)
	}
	if len(args) <= maxKept {
		if stmt, err := s.prepared(ctx, conn, query); err != nil {
			return nil, err
		} else if stmt != nil {
			return stmt.QueryContext(ctx, args...)
		}
	}
	return conn.QueryContext(ctx, query, args...)
}

// writeLimit writes the number of a LIMIT at the end of a query into its text, for a
// planner that looks at it: one that it does not know it takes for a tenth of the rows,
// and so plans each query anew.
func writeLimit(query string, args []any) (string, []any) {
	text, found := strings.CutSuffix(query, " LIMIT ?")
	if !found {
		return query, args
	}
	last := len(args) - 1
	limit, ok := args[last].(int)
	if !ok {
		return query, args
	}
	return text + " LIMIT " + strconv.Itoa(limit), args[:last]
}

// keptExec runs a statement of constant text with ? parameters as query does, and
// returns how many rows it wrote. The arguments are such as driverValue returns.
func (s session) keptExec(ctx context.Context, query string, args ...any) (n int64, err error) {
	conn, err := s.conn(ctx)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	defer func() { s.db.hook.tell(ctx, query, start, err) }()
	result, err := s.execute(ctx, conn, query, args)
	if err != nil {
		return 0, s.fail(ctx, err)
	}
	n, err = result.RowsAffected()
	return n, s.fail(ctx, err)
}

// keptScan reads what such a statement returns into dest, a pointer to a slice.
func (s session) keptScan(ctx context.Context, dest any, query string, args ...any) (err error) {
	conn, err := s.conn(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	defer func() { s.db.hook.tell(ctx, query, start, err) }()
	rows, err := s.query(ctx, conn, query, args)
	if err != nil {
		return s.fail(ctx, err)
	}
	defer rows.Close()
	return s.fail(ctx, s.db.bun.ScanRows(ctx, rows, dest))
}

func (s session) execute(ctx context.Context, conn bun.IConn, query string, args []any) (sql.Result, error) {
	if mode := s.db.dialect.CachedMode; mode != nil {
		return conn.ExecContext(ctx, numbered(query), append([]any{mode}, args...)...)
	}
	stmt, err := s.prepared(ctx, conn, query)
	switch {
	case err != nil:
		return nil, err
	case stmt != nil:
		return stmt.ExecContext(ctx, args...)
	}
	return conn.ExecContext(ctx, query, args...)
}

// driverValues returns arguments as the driver takes them. It is false for those that
// Bun has to write into the text, and for more than are kept.
func (d *DB) driverValues(args []any) ([]any, bool) {
	if len(args) > maxKept {
		return nil, false
	}
	values := make([]any, len(args))
	for i, arg := range args {
		var ok bool
		if values[i], ok = d.driverValue(arg); !ok {
			return nil, false
		}
	}
	return values, true
}

// driverValue returns a value as the driver takes it, in the form in which Bun would
// write it, and false where only Bun knows that form.
func (d *DB) driverValue(arg any) (any, bool) {
	switch v := arg.(type) {
	case nil, int, int64, string, bool, float64, []byte:
		return v, true
	case time.Time:
		return d.timeValue(v), true
	case bun.NullTime:
		if v.IsZero() {
			return nil, true
		}
		return d.timeValue(v.Time), true
	case uuid.UUID:
		return v.String(), true
	case driver.Valuer, bunschema.QueryAppender:
		return nil, false
	}
	v := reflect.ValueOf(arg)
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), true
	case reflect.String:
		return v.String(), true
	case reflect.Bool:
		return v.Bool(), true
	case reflect.Pointer:
		if v.IsNil() {
			return nil, true
		}
		return d.driverValue(v.Elem().Interface())
	}
	return nil, false
}

// fieldValue returns a column of a row as the driver takes it.
func (d *DB) fieldValue(f *bunschema.Field, row reflect.Value) (any, bool) {
	if f.NullZero && f.HasZeroValue(row) {
		return nil, true
	}
	return d.driverValue(f.Value(row).Interface())
}

// insertText returns the statement that adds a row to a table without some of its
// columns, and its arguments; those that are null take their default. It is false for a
// row that only Bun can write.
func (d *DB) insertText(table string, row any, without []string, end string) (string, []any, bool) {
	v := reflect.ValueOf(row)
	var columns []string
	var args []any
	for _, f := range d.bun.Table(v.Type()).Fields {
		if slices.Contains(without, f.Name) || (f.NullZero || f.AutoIncrement) && f.HasZeroValue(v) {
			continue
		}
		arg, ok := d.fieldValue(f, v)
		if !ok {
			return "", nil, false
		}
		columns, args = append(columns, string(f.SQLName)), append(args, arg)
	}
	if len(columns) == 0 || len(columns) > maxKept {
		return "", nil, false
	}
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(columns)-1) + ")" + end, args, true
}

// updateText returns the statement that sets columns of a row and counts its version.
func (d *DB) updateText(row any, columns []string) (string, []any, bool) {
	v := reflect.ValueOf(row)
	table := d.bun.Table(v.Type())
	var set, where []string
	var args []any
	for _, name := range columns {
		arg, ok := d.fieldValue(table.FieldMap[name], v)
		if !ok {
			return "", nil, false
		}
		set, args = append(set, name+" = ?"), append(args, arg)
	}
	for _, f := range table.PKs {
		arg, ok := d.fieldValue(f, v)
		if !ok {
			return "", nil, false
		}
		where, args = append(where, f.Name+" = ?"), append(args, arg)
	}
	return "UPDATE " + string(table.SQLName) + " SET " + strings.Join(set, ", ") + ", version = version + 1 WHERE " + strings.Join(where, " AND "), args, true
}
