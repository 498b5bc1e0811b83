package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// translationTable returns the table of a kind of objects. What is none was checked.
func translationTable(kind courses.ObjectKind) string {
	return "ustat_" + string(kind) + "_translations"
}

const translationColumns = "object_id, language, title, description, requirements, text_policy, title_source, description_source, requirements_source, version, updated_at"

func scanTranslation(rows *sql.Rows, t *courses.Translation) error {
	err := rows.Scan(&t.Object.Kind, &t.Object.ID, &t.Language, &t.Title, &t.Description, &t.Requirements, &t.TextPolicy,
		&t.Sources.Title, &t.Sources.Description, &t.Sources.Requirements, &t.Version, &t.UpdatedAt)
	t.UpdatedAt = t.UpdatedAt.UTC()
	return err
}

// Translations implements courses.TranslationReader.
func (r coursesReader) Translations(ctx context.Context, of []courses.Object, languages []string) ([]courses.Translation, error) {
	if languages = slices.Clone(languages); languages != nil {
		if languages = validOnly(languages); len(languages) == 0 {
			return nil, nil
		}
	}
	var parts []string
	var args []any
	for _, kind := range courses.ObjectKinds {
		var ids []int64
		for _, o := range of {
			if o.Kind == kind {
				ids = append(ids, o.ID)
			}
		}
		if ids == nil {
			continue
		}
		where, more := in(r.db, "object_id", ids)
		args = append(args, more...)
		if languages != nil {
			spoken, more := in(r.db, "language", languages)
			where, args = where+" AND "+spoken, append(args, more...)
		}
		parts = append(parts, "SELECT '"+string(kind)+"' AS kind, "+translationColumns+" FROM "+translationTable(kind)+" WHERE "+where)
	}
	if parts == nil {
		return nil, nil
	}
	return readAll(ctx, r.session, strings.Join(parts, " UNION ALL ")+" ORDER BY kind, object_id, language", args, scanTranslation)
}

// TranslatedOf implements courses.TranslationReader.
func (r coursesReader) TranslatedOf(ctx context.Context, course courses.CourseID) ([]courses.Translated, error) {
	const columns = ", t.object_id, t.language, t.title_source, t.description_source, t.requirements_source FROM "
	const query = "SELECT 'course'" + columns + "ustat_course_translations AS t WHERE t.object_id = ?" +
		" UNION ALL SELECT 'module'" + columns + "ustat_modules AS m JOIN ustat_module_translations AS t ON t.object_id = m.id WHERE m.course_id = ?" +
		" UNION ALL SELECT 'lesson'" + columns + "ustat_lessons AS l JOIN ustat_lesson_translations AS t ON t.object_id = l.id WHERE l.course_id = ?"
	return readAll(ctx, r.session, query, []any{course, course, course}, func(rows *sql.Rows, t *courses.Translated) error {
		return rows.Scan(&t.Object.Kind, &t.Object.ID, &t.Language, &t.Sources.Title, &t.Sources.Description, &t.Sources.Requirements)
	})
}

// TextsOf implements courses.TranslationReader.
func (r coursesReader) TextsOf(ctx context.Context, course courses.CourseID, visit func(o courses.Object, t courses.Texts)) error {
	const query = "SELECT 'course', id, title, description, requirements FROM ustat_courses WHERE id = ?" +
		" UNION ALL SELECT 'module', id, title, description, '' FROM ustat_modules WHERE course_id = ?" +
		" UNION ALL SELECT 'lesson', id, title, content, '' FROM ustat_lessons WHERE course_id = ?"
	_, err := readAll(ctx, r.session, query, []any{course, course, course}, func(rows *sql.Rows, _ *struct{}) error {
		var o courses.Object
		var t courses.Texts
		err := rows.Scan(&o.Kind, &o.ID, &t.Title, &t.Description, &t.Requirements)
		if err == nil {
			visit(o, t)
		}
		return err
	})
	return err
}

type translationRow struct {
	bun.BaseModel      `bun:"table:ustat_course_translations,alias:x"`
	ObjectID           int64     `bun:"object_id"`
	Language           string    `bun:"language"`
	Title              string    `bun:"title"`
	Description        string    `bun:"description"`
	Requirements       string    `bun:"requirements"`
	TextPolicy         int       `bun:"text_policy"`
	TitleSource        string    `bun:"title_source"`
	DescriptionSource  string    `bun:"description_source"`
	RequirementsSource string    `bun:"requirements_source"`
	Version            int64     `bun:"version"`
	UpdatedAt          time.Time `bun:"updated_at"`
}

// PutTranslations implements courses.TranslationWriter.
func (t coursesTx) PutTranslations(ctx context.Context, list []courses.Translation) ([]courses.Translation, error) {
	if err := checkText(len(list), func(i int) []string {
		return []string{list[i].Language, list[i].Title, list[i].Description, list[i].Requirements}
	}); err != nil {
		return nil, err
	}
	rows := map[courses.ObjectKind][]translationRow{}
	places := map[courses.Object]map[string]int{}
	out := slices.Clone(list)
	for i, x := range list {
		if !slices.Contains(courses.ObjectKinds[:], x.Object.Kind) {
			return nil, core.Invalid("object", "oneof", fmt.Sprint(courses.ObjectKinds), string(x.Object.Kind), "there is no such kind of objects")
		}
		if places[x.Object] == nil {
			places[x.Object] = map[string]int{}
		}
		if _, twice := places[x.Object][x.Language]; twice {
			return nil, core.Invalid("language", "repeated", "1", x.Language, "an object is said in a language once")
		}
		places[x.Object][x.Language] = i
		out[i].UpdatedAt = core.Time(x.UpdatedAt)
		rows[x.Object.Kind] = append(rows[x.Object.Kind], translationRow{
			ObjectID: x.Object.ID, Language: x.Language, Title: x.Title, Description: x.Description, Requirements: x.Requirements, TextPolicy: x.TextPolicy,
			TitleSource: x.Sources.Title, DescriptionSource: x.Sources.Description, RequirementsSource: x.Sources.Requirements, Version: 1, UpdatedAt: out[i].UpdatedAt,
		})
	}
	for _, kind := range courses.ObjectKinds {
		for block := range slices.Chunk(rows[kind], blockRows) {
			stored, err := t.putTranslations(ctx, kind, block)
			if err != nil {
				return nil, err
			}
			for _, row := range stored {
				out[places[courses.Object{Kind: kind, ID: row.ObjectID}][row.Language]].Version = row.Version
			}
		}
	}
	return out, nil
}

// putTranslations writes a block of one kind and returns keys and versions.
func (t coursesTx) putTranslations(ctx context.Context, kind courses.ObjectKind, block []translationRow) (stored []translationRow, err error) {
	q := t.Tx.db.bun.NewInsert().Conn(t.Tx.conn).Model(&block).ModelTableExpr("? AS x", bun.Ident(translationTable(kind))).
		On("CONFLICT (object_id, language) DO UPDATE").Set("version = x.version + 1").Returning("object_id, language, version")
	for _, column := range []string{"title", "description", "requirements", "text_policy", "title_source", "description_source", "requirements_source", "updated_at"} {
		q.Set("? = excluded.?", bun.Ident(column), bun.Ident(column))
	}
	err = t.Tx.scan(ctx, q, &stored)
	return stored, err
}

// DeleteTranslation implements courses.TranslationWriter.
func (t coursesTx) DeleteTranslation(ctx context.Context, of courses.Object, language string) error {
	if !slices.Contains(courses.ObjectKinds[:], of.Kind) || !core.ValidText(language) {
		return courses.ErrTranslationNotFound
	}
	n, err := t.Tx.rawExec(ctx, "DELETE FROM "+translationTable(of.Kind)+" WHERE object_id = ? AND language = ?", of.ID, language)
	if err == nil && n == 0 {
		err = courses.ErrTranslationNotFound
	}
	return err
}
