package sqlstore

import (
	"context"
	"strings"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/fulltext"
	"github.com/ustat/ustat/courses/richtext"
)

// Document is what the full-text index keeps of a course.
type Document struct {
	ID                courses.CourseID
	Title, Tags, Body []string // terms
}

// maxIndexed bounds the bytes of a description that are indexed.
const maxIndexed = 100_000

func newDocument(c courses.Course, tags []string) Document {
	body := richtext.Text(c.Description) + "\n" + richtext.Text(c.Requirements)
	if len(body) > maxIndexed {
		body = body[:maxIndexed]
	}
	return Document{
		ID: c.ID, Title: fulltext.Terms(c.Title), Tags: fulltext.Terms(strings.Join(tags, "\n")), Body: fulltext.Terms(body),
	}
}

// Search is the full-text index of an engine.
type Search interface {
	// Write replaces the entries of stored courses in the transaction. Old says
	// whether any of them may have been indexed before.
	Write(ctx context.Context, w Writer, docs []Document, old bool) error
	// Delete removes the entry of a course, unless it goes with the course's row.
	Delete(ctx context.Context, w Writer, id courses.CourseID) error
	// Match returns a condition on the course "c" that all terms are in it.
	Match(terms []string) (condition string, args []any)
	// Field returns an expression of courses.Position's field for terms.
	Field(terms []string) (expression string, args []any)
}

// TextColumns is a Search whose index is of two columns of the courses. They are
// written with the courses themselves; Write is for what is indexed anew.
type TextColumns interface {
	// Columns returns what the columns fts and fts_head hold.
	Columns(doc Document) (fts, head string)
}

// Writer runs a statement of constant text in a transaction.
type Writer interface {
	WriteSQL(ctx context.Context, query string, args ...any) error
}

// WriteSQL implements Writer.
func (tx *Tx) WriteSQL(ctx context.Context, query string, args ...any) error {
	_, err := tx.rawExec(ctx, query, args...)
	return err
}
