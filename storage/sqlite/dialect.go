package sqlite

import (
	"context"
	"errors"
	"strings"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage/internal/sqlstore"
)

// classify says what an error of the driver means, by its code.
func classify(err error) sqlstore.Class {
	e, ok := errors.AsType[*driver.Error](err)
	if !ok {
		return sqlstore.Other
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return sqlstore.Duplicate
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return sqlstore.BadRow
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return sqlstore.Retry
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return sqlstore.Away
	}
	return sqlstore.Other
}

// search is the full-text index on FTS5: a contentless table of stems, which the
// tokenizer "ascii" leaves as they are.
type search struct{}

// Write implements sqlstore.Search.
func (search) Write(ctx context.Context, w sqlstore.Writer, docs []sqlstore.Document, old bool) error {
	const block = 100
	for ; len(docs) > 0; docs = docs[min(block, len(docs)):] {
		var values strings.Builder
		var args []any
		for i, d := range docs[:min(block, len(docs))] {
			if i > 0 {
				values.WriteString(", ")
			}
			values.WriteString("(?, ?, ?, ?)")
			args = append(args, d.ID, strings.Join(d.Title, " "), strings.Join(d.Tags, " "), strings.Join(d.Body, " "))
		}
		verb := "INSERT"
		if old {
			verb = "INSERT OR REPLACE"
		}
		if err := w.WriteSQL(ctx, verb+" INTO ustat_course_fts (rowid, title, tags, body) VALUES "+values.String(), args...); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements sqlstore.Search.
func (search) Delete(ctx context.Context, w sqlstore.Writer, id courses.CourseID) error {
	return w.WriteSQL(ctx, "DELETE FROM ustat_course_fts WHERE rowid = ?", id)
}

const matches = "c.id IN (SELECT rowid FROM ustat_course_fts WHERE ustat_course_fts MATCH ?)"

// Match implements sqlstore.Search.
func (search) Match(terms []string) (string, []any) { return matches, []any{quote(terms)} }

// Field implements sqlstore.Search.
func (search) Field(terms []string) (string, []any) {
	all := quote(terms)
	return "((" + matches + ") + (" + matches + "))", []any{"{title} : (" + all + ")", "{title tags} : (" + all + ")"}
}

// quote returns the query for all terms, none of which can be an operator.
func quote(terms []string) string {
	quoted := make([]string, len(terms))
	for i, t := range terms {
		quoted[i] = `"` + strings.ReplaceAll(t, `"`, `""`) + `"`
	}
	return strings.Join(quoted, " AND ")
}

var _ sqlstore.Search = search{}

func tableExists(table string) string {
	return "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '" + table + "'"
}
