package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/courses"
)

const moduleColumns = "id, course_id, title, description, position, text_policy, version"

func (r coursesReader) Modules(ctx context.Context, course courses.CourseID, after, limit int) ([]courses.Module, error) {
	return readAll(ctx, r.session, "SELECT "+moduleColumns+" FROM ustat_modules WHERE course_id = ? AND position > ? ORDER BY position LIMIT ?",
		[]any{course, after, limit}, module)
}

func (r coursesReader) ModulesOf(ctx context.Context, ids []courses.CourseID) ([]courses.Module, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "course_id", ids)
	return readAll(ctx, r.session, "SELECT "+moduleColumns+" FROM ustat_modules WHERE "+where, args, module)
}

func module(rows *sql.Rows, m *courses.Module) error { return scanModule(rows, m) }

// scanModule scans what stands before a module's columns, and the module.
func scanModule(rows *sql.Rows, m *courses.Module, before ...any) error {
	return rows.Scan(append(before, &m.ID, &m.CourseID, &m.Title, &m.Description, &m.Position, &m.TextPolicy, &m.Version)...)
}

type lessonRow struct {
	bun.BaseModel   `bun:"table:ustat_lessons"`
	ID              courses.LessonID `bun:"id,pk,autoincrement"`
	ModuleID        courses.ModuleID `bun:"module_id"`
	CourseID        courses.CourseID `bun:"course_id"`
	Position        int              `bun:"position"`
	Title           string           `bun:"title"`
	Kind            courses.Kind     `bun:"kind"`
	Content         string           `bun:"content"`
	DurationSeconds int64            `bun:"duration_seconds"`
	FreePreview     bool             `bun:"free_preview"`
	TextPolicy      int              `bun:"text_policy"`
	OpensAt         bun.NullTime     `bun:"opens_at"`
	OpensAfterDays  int              `bun:"opens_after_days"`
}

const lessonColumns = "l.id, l.module_id, l.course_id, l.position, l.title, l.kind, l.content, l.duration_seconds, l.free_preview, l.text_policy, l.opens_at, l.opens_after_days, l.version, m.position AS module_position"

const selectLessons = "SELECT " + lessonColumns + " FROM ustat_modules AS m JOIN ustat_lessons AS l ON l.module_id = m.id"

func lesson(rows *sql.Rows, l *courses.Lesson) error { return scanLesson(rows, l) }

// scanLesson scans what stands before a lesson's columns, and the lesson.
func scanLesson(rows *sql.Rows, l *courses.Lesson, before ...any) error {
	var seconds int64
	var opens sql.NullTime
	err := rows.Scan(append(before, &l.ID, &l.ModuleID, &l.CourseID, &l.Position, &l.Title, &l.Kind, &l.Content, &seconds, &l.FreePreview,
		&l.TextPolicy, &opens, &l.OpensAfterDays, &l.Version, &l.ModulePosition)...)
	l.Duration, l.OpensAt = time.Duration(seconds)*time.Second, timeOf(opens)
	return err
}

func (r coursesReader) Lessons(ctx context.Context, course courses.CourseID, module courses.ModuleID, after [2]int, limit int) ([]courses.Lesson, error) {
	where, args := " WHERE m.course_id = ?", []any{course}
	if module != 0 {
		where, args = where+" AND m.id = ?", append(args, module)
	}
	return readAll(ctx, r.session, selectLessons+where+" AND m.position >= ? AND (m.position, l.position) > (?, ?) ORDER BY m.position, l.position LIMIT ?",
		append(args, after[0], after[0], after[1], limit), lesson)
}

func (r coursesReader) LessonsOf(ctx context.Context, modules []courses.ModuleID) ([]courses.Lesson, error) {
	if len(modules) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "m.id", modules)
	return readAll(ctx, r.session, selectLessons+" WHERE "+where, args, lesson)
}

// LessonsAt implements courses.ContentReader.
func (r coursesReader) LessonsAt(ctx context.Context, places []courses.LessonPlace, visit func(courses.Lesson)) error {
	places = slices.Compact(slices.SortedFunc(slices.Values(places), func(a, b courses.LessonPlace) int {
		return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(a.Position, b.Position))
	}))
	for block := range slices.Chunk(places, blockRows) {
		pairs, args := pairTable(len(block), func(i int) (any, any) { return block[i].Module, block[i].Position })
		_, err := readAll(ctx, r.session, selectLessons+" WHERE (l.module_id, l.position) IN "+pairs, args,
			func(rows *sql.Rows, _ *struct{}) error {
				var l courses.Lesson
				err := scanLesson(rows, &l)
				if err == nil {
					visit(l)
				}
				return err
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// ModuleVersions implements courses.ContentReader.
func (r coursesReader) ModuleVersions(ctx context.Context, ids []courses.ModuleID) (map[courses.ModuleID]int64, error) {
	return versions(ctx, r.session, "ustat_modules", ids, "")
}

// LessonVersions implements courses.ContentReader.
func (r coursesReader) LessonVersions(ctx context.Context, ids []courses.LessonID) (map[courses.LessonID]int64, error) {
	return versions(ctx, r.session, "ustat_lessons", ids, "")
}

// versions returns the versions of those rows of a table that exist, read in the
// order of their ids and locked by lock.
func versions[ID ~int64](ctx context.Context, s session, table string, ids []ID, lock string) (map[ID]int64, error) {
	type row struct {
		id      ID
		version int64
	}
	if len(ids) == 0 {
		return nil, nil
	}
	where, args := in(s.db, "id", ids)
	rows, err := readAll(ctx, s, "SELECT id, version FROM "+table+" WHERE "+where+" ORDER BY id"+lock, args,
		func(rows *sql.Rows, r *row) error { return rows.Scan(&r.id, &r.version) })
	if err != nil {
		return nil, err
	}
	found := make(map[ID]int64, len(rows))
	for _, r := range rows {
		found[r.id] = r.version
	}
	return found, nil
}

// ModuleByID implements courses.ContentReader.
func (r coursesReader) ModuleByID(ctx context.Context, course courses.CourseID, id courses.ModuleID) (courses.Module, error) {
	found, err := readAll(ctx, r.session, "SELECT "+moduleColumns+" FROM ustat_modules WHERE id = ? AND course_id = ?", []any{id, course}, module)
	if err == nil && len(found) == 0 {
		err = courses.ErrModuleNotFound
	}
	if err != nil {
		return courses.Module{}, err
	}
	return found[0], nil
}

// ModuleIDs implements courses.ContentReader.
func (r coursesReader) ModuleIDs(ctx context.Context, course courses.CourseID) ([]courses.ModuleID, error) {
	return readAll(ctx, r.session, "SELECT id FROM ustat_modules WHERE course_id = ? ORDER BY position", []any{course}, scanOne[courses.ModuleID])
}

// LessonByID implements courses.ContentReader.
func (r coursesReader) LessonByID(ctx context.Context, course courses.CourseID, id courses.LessonID) (courses.Lesson, error) {
	found, err := readAll(ctx, r.session, selectLessons+" WHERE l.id = ? AND m.course_id = ?", []any{id, course}, lesson)
	if err == nil && len(found) == 0 {
		err = courses.ErrLessonNotFound
	}
	if err != nil {
		return courses.Lesson{}, err
	}
	return found[0], nil
}

// LessonIDs implements courses.ContentReader.
func (r coursesReader) LessonIDs(ctx context.Context, course courses.CourseID, module courses.ModuleID) ([]courses.LessonID, error) {
	return readAll(ctx, r.session, "SELECT id FROM ustat_lessons WHERE module_id = ? AND course_id = ? ORDER BY position", []any{module, course}, scanOne[courses.LessonID])
}

// CountContent implements courses.ContentReader.
func (r coursesReader) CountContent(ctx context.Context, course courses.CourseID) (courses.ContentCount, error) {
	found, err := readAll(ctx, r.session, "SELECT (SELECT count(*) FROM ustat_modules WHERE course_id = ?), count(*), count(DISTINCT module_id)"+
		" FROM ustat_lessons WHERE course_id = ?", []any{course, course},
		func(rows *sql.Rows, n *courses.ContentCount) error {
			return rows.Scan(&n.Modules, &n.Lessons, &n.Filled)
		})
	if err != nil {
		return courses.ContentCount{}, err
	}
	return found[0], nil
}

type moduleRow struct {
	bun.BaseModel `bun:"table:ustat_modules"`
	ID            courses.ModuleID `bun:"id,pk,autoincrement"`
	CourseID      courses.CourseID `bun:"course_id"`
	Position      int              `bun:"position"`
	Title         string           `bun:"title"`
	Description   string           `bun:"description"`
	TextPolicy    int              `bun:"text_policy"`
}

func moduleRows(list []courses.Module) []moduleRow {
	rows := make([]moduleRow, len(list))
	for i, m := range list {
		rows[i] = moduleRow{ID: m.ID, CourseID: m.CourseID, Position: m.Position, Title: m.Title, Description: m.Description, TextPolicy: m.TextPolicy}
	}
	return rows
}

func checkModules(list []courses.Module) error {
	return checkText(len(list), func(i int) []string { return []string{list[i].Title, list[i].Description} })
}

// place is where a row stands: in its parent, at its position.
type place struct{ Parent, Position int64 }

// insertPlaced adds rows that are unique by parent and position.
func insertPlaced[R any](ctx context.Context, tx *Tx, table, parent string, rows []R) (map[place]int64, error) {
	type added struct{ ID, Parent, Position int64 }
	got, ok, err := insert[R, added](ctx, tx, table, rows, "id, "+parent+" AS parent, position")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, courses.ErrPositionTaken
	}
	ids := make(map[place]int64, len(got))
	for _, a := range got {
		ids[place{a.Parent, a.Position}] = a.ID
	}
	return ids, nil
}

// InsertModules implements courses.Tx.
func (t coursesTx) InsertModules(ctx context.Context, list []courses.Module) ([]courses.Module, error) {
	if err := checkModules(list); err != nil {
		return nil, err
	}
	ids, err := insertPlaced(ctx, t.Tx, "ustat_modules", "course_id", moduleRows(list))
	if err != nil {
		return nil, err
	}
	out := make([]courses.Module, len(list))
	for i, m := range list {
		m.ID = courses.ModuleID(ids[place{int64(m.CourseID), int64(m.Position)}])
		m.Version = 1
		out[i] = m
	}
	return out, nil
}

// UpdateModules implements courses.Tx.
func (t coursesTx) UpdateModules(ctx context.Context, list []courses.Module) error {
	if err := checkModules(list); err != nil || len(list) == 0 {
		return err
	}
	return t.Tx.atomically(ctx, func() error {
		return updateRows(ctx, t.Tx, moduleRows(list), courses.ErrModuleNotFound, "title", "description", "text_policy")
	})
}

func lessonRows(list []courses.Lesson) []lessonRow {
	rows := make([]lessonRow, len(list))
	for i, l := range list {
		rows[i] = lessonRow{
			ID: l.ID, ModuleID: l.ModuleID, CourseID: l.CourseID, Position: l.Position, Title: l.Title, Kind: l.Kind, Content: l.Content,
			DurationSeconds: int64(l.Duration / time.Second), FreePreview: l.FreePreview, TextPolicy: l.TextPolicy,
			OpensAt: nullTime(l.OpensAt), OpensAfterDays: l.OpensAfterDays,
		}
	}
	return rows
}

func checkLessons(list []courses.Lesson) error {
	return checkText(len(list), func(i int) []string { return []string{list[i].Title, list[i].Content} })
}

// InsertLessons implements courses.Tx.
func (t coursesTx) InsertLessons(ctx context.Context, list []courses.Lesson) ([]courses.Lesson, error) {
	if err := checkLessons(list); err != nil {
		return nil, err
	}
	ids, err := insertPlaced(ctx, t.Tx, "ustat_lessons", "module_id", lessonRows(list))
	if err != nil {
		return nil, err
	}
	out := make([]courses.Lesson, len(list))
	for i, l := range list {
		l.ID = courses.LessonID(ids[place{int64(l.ModuleID), int64(l.Position)}])
		l.Version = 1
		out[i] = l
	}
	return out, nil
}

// UpdateLessons implements courses.Tx.
func (t coursesTx) UpdateLessons(ctx context.Context, list []courses.Lesson) error {
	if err := checkLessons(list); err != nil || len(list) == 0 {
		return err
	}
	return t.Tx.atomically(ctx, func() error {
		return updateRows(ctx, t.Tx, lessonRows(list), courses.ErrLessonNotFound, "title", "kind", "content", "text_policy", "duration_seconds", "free_preview", "opens_at", "opens_after_days")
	})
}

// DeleteModule implements courses.ContentWriter.
func (t coursesTx) DeleteModule(ctx context.Context, course courses.CourseID, id courses.ModuleID) error {
	if _, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_lessons WHERE module_id = ? AND course_id = ?", id, course); err != nil {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_modules WHERE id = ? AND course_id = ?", id, course)
	if err == nil && n == 0 {
		return courses.ErrModuleNotFound
	}
	return err
}

// DeleteLesson implements courses.ContentWriter.
func (t coursesTx) DeleteLesson(ctx context.Context, course courses.CourseID, id courses.LessonID) error {
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_lessons WHERE id = ? AND course_id = ?", id, course)
	if err == nil && n == 0 {
		return courses.ErrLessonNotFound
	}
	return err
}

// outOfTheWay is added to positions that are about to be given anew. Positions are
// less, so that no two rows meet on the way, although both engines check the unique
// key row by row.
const outOfTheWay = 1 << 32

// PlaceModules implements courses.ContentWriter.
func (t coursesTx) PlaceModules(ctx context.Context, course courses.CourseID, ids []courses.ModuleID) error {
	if len(ids) == 0 {
		return nil
	}
	return t.Tx.atomically(ctx, func() error {
		n, err := t.Tx.rawExec(ctx, "UPDATE ustat_modules SET position = position + ? WHERE course_id = ? AND id IN (?)", outOfTheWay, course, bun.List(ids))
		if err != nil {
			return err
		}
		if int(n) < len(ids) {
			return courses.ErrModuleNotFound
		}
		places, args := places(ids)
		_, err = t.Tx.rawExec(ctx, places+" UPDATE ustat_modules SET position = v.place, version = version + CASE WHEN position = v.place + ? THEN 0 ELSE 1 END"+
			" FROM v WHERE ustat_modules.id = v.id AND course_id = ?", append(args, outOfTheWay, course)...)
		return err
	})
}

// places returns a common table v of ids and their places, from 1.
func places[ID ~int64](ids []ID) (string, []any) {
	args := make([]any, 0, 2*len(ids)+3)
	for i, id := range ids {
		args = append(args, id, i+1)
	}
	const value = "(CAST(? AS BIGINT), CAST(? AS BIGINT))"
	return "WITH v (id, place) AS (VALUES " + value + strings.Repeat(", "+value, len(ids)-1) + ")", args
}

// PlaceLessons implements courses.ContentWriter.
func (t coursesTx) PlaceLessons(ctx context.Context, course courses.CourseID, module courses.ModuleID, ids []courses.LessonID) error {
	if len(ids) == 0 {
		return nil
	}
	return t.Tx.atomically(ctx, func() error {
		n, err := t.Tx.rawExec(ctx, "UPDATE ustat_lessons SET position = position + ? WHERE course_id = ? AND id IN (?)", outOfTheWay, course, bun.List(ids))
		if err != nil {
			return err
		}
		if int(n) < len(ids) {
			return courses.ErrLessonNotFound
		}
		places, args := places(ids)
		_, err = t.Tx.rawExec(ctx, places+" UPDATE ustat_lessons SET module_id = ?, position = v.place,"+
			" version = version + CASE WHEN position = v.place + ? AND module_id = ? THEN 0 ELSE 1 END"+
			" FROM v WHERE ustat_lessons.id = v.id AND course_id = ?", append(args, module, outOfTheWay, module, course)...)
		return err
	})
}
