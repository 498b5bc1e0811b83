package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

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

// PutTranslation implements courses.TranslationWriter.
func (t coursesTx) PutTranslation(ctx context.Context, x courses.Translation) (courses.Translation, error) {
	if err := checkText(1, func(int) []string { return []string{x.Language, x.Title, x.Description, x.Requirements} }); err != nil {
		return x, err
	}
	if !slices.Contains(courses.ObjectKinds[:], x.Object.Kind) {
		return x, core.Invalid("object", "oneof", fmt.Sprint(courses.ObjectKinds), string(x.Object.Kind), "there is no such kind of objects")
	}
	x.UpdatedAt = core.Time(x.UpdatedAt)
	var versions []int64
	err := t.Tx.rawScan(ctx, &versions, "INSERT INTO "+translationTable(x.Object.Kind)+" AS x ("+translationColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)"+
		" ON CONFLICT (object_id, language) DO UPDATE SET title = excluded.title, description = excluded.description, requirements = excluded.requirements,"+
		" text_policy = excluded.text_policy, title_source = excluded.title_source, description_source = excluded.description_source,"+
		" requirements_source = excluded.requirements_source, version = x.version + 1, updated_at = excluded.updated_at RETURNING version",
		x.Object.ID, x.Language, x.Title, x.Description, x.Requirements, x.TextPolicy, x.Sources.Title, x.Sources.Description, x.Sources.Requirements,
		t.Tx.db.timeValue(x.UpdatedAt))
	if err != nil {
		return x, err
	}
	x.Version = versions[0]
	return x, nil
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
