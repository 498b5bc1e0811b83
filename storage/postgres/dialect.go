package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage/internal/sqlstore"
)

// classify says what an error of the driver means, by its SQLSTATE.
func classify(err error) sqlstore.Class {
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return sqlstore.RolledBack
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		// Neither says that a statement was not sent: pgx calls the answer of a COMMIT
		// that is lost a closed connection, which it holds to be safe to retry.
		if errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err) {
			return sqlstore.Away
		}
		if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return sqlstore.Away
		}
		if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
			return sqlstore.Away
		}
		return sqlstore.Other
	}
	switch e.Code {
	case "23505":
		return sqlstore.Duplicate
	case "40001", "40P01", "55P03":
		return sqlstore.Retry
	case "57P01", "57P02", "57P03", "25006":
		return sqlstore.Away
	}
	switch e.Code[:2] {
	case "23", "22":
		return sqlstore.BadRow
	case "08", "53":
		return sqlstore.Away
	}
	return sqlstore.Other
}

func constraint(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.ConstraintName
	}
	return ""
}

// search is the full-text index on a tsvector of stems with a GIN index. A second,
// short one of the title and the tags alone ranks what was found, so that the long
// ones need not be read.
type search struct{}

// Columns implements sqlstore.TextColumns.
func (search) Columns(d sqlstore.Document) (fts, head string) {
	return vector(d.Title, d.Tags, d.Body), vector(d.Title, d.Tags)
}

// Write implements sqlstore.Search.
func (search) Write(ctx context.Context, w sqlstore.Writer, docs []sqlstore.Document, _ bool) error {
	const block = 500
	for ; len(docs) > 0; docs = docs[min(block, len(docs)):] {
		var values strings.Builder
		var args []any
		for i, d := range docs[:min(block, len(docs))] {
			if i > 0 {
				values.WriteString(", ")
			}
			values.WriteString("(?::bigint, ?::tsvector, ?::tsvector)")
			fts, head := search{}.Columns(d)
			args = append(args, d.ID, fts, head)
		}
		if err := w.WriteSQL(ctx, "UPDATE ustat_courses AS c SET fts = v.fts, fts_head = v.head FROM (VALUES "+values.String()+") AS v (id, fts, head) WHERE c.id = v.id", args...); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements sqlstore.Search: the entry is in the course's row.
func (search) Delete(context.Context, sqlstore.Writer, courses.CourseID) error { return nil }

// vector returns the text of a tsvector: each term once, with weight A in the
// first list, B in the second, C in the third. The positions have no meaning.
func vector(lists ...[]string) string {
	weights := map[string]string{}
	var order []string
	for i, terms := range lists {
		weight := []string{"1A", "2B", "3C"}[i]
		for _, t := range terms {
			switch have, seen := weights[t]; {
			case !seen:
				weights[t] = weight
				order = append(order, t)
			case !strings.Contains(have, weight):
				weights[t] = have + "," + weight
			}
		}
	}
	var b strings.Builder
	for _, t := range order {
		b.WriteString(quoteTerm(t) + ":" + weights[t] + " ")
	}
	return b.String()
}

func quoteTerm(t string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(t) + "'"
}

func query(terms []string, weights string) string {
	quoted := make([]string, len(terms))
	for i, t := range terms {
		quoted[i] = quoteTerm(t) + weights
	}
	return strings.Join(quoted, " & ")
}

// Match implements sqlstore.Search.
func (search) Match(terms []string) (string, []any) {
	return "c.fts @@ ?::tsquery", []any{query(terms, "")}
}

// Field implements sqlstore.Search.
func (search) Field(terms []string) (string, []any) {
	return "((c.fts_head @@ ?::tsquery)::int + (c.fts_head @@ ?::tsquery)::int)", []any{query(terms, ":A"), query(terms, "")}
}

var _ sqlstore.TextColumns = search{}

func tableExists(table string) string { return "SELECT count(to_regclass('" + table + "'))" }
