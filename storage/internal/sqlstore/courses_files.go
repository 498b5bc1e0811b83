package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

const (
	lessonFileColumns = "id, course_id, lesson_id, kind, name, uploaded_by, state, code, raw_key, clean_key, type, size, created_at, expires_at"
	selectLessonFiles = "SELECT " + lessonFileColumns + " FROM ustat_lesson_files WHERE "
)

func scanLessonFile(rows *sql.Rows, f *courses.LessonFile) error {
	var lesson sql.NullInt64
	var expires sql.NullTime
	err := rows.Scan(&f.ID, &f.Course, &lesson, &f.Kind, &f.Name, &f.By, &f.State, &f.Code, &f.Raw, &f.Clean, &f.Type, &f.Size, &f.CreatedAt, &expires)
	f.Lesson, f.CreatedAt, f.ExpiresAt = courses.LessonID(lesson.Int64), f.CreatedAt.UTC(), orZero(expires)
	return err
}

// LessonFileByID implements courses.FileReader.
func (r coursesReader) LessonFileByID(ctx context.Context, id uuid.UUID) (courses.LessonFile, error) {
	found, err := readAll(ctx, r.session, selectLessonFiles+"id = ?", []any{id.String()}, scanLessonFile)
	if err == nil && len(found) == 0 {
		err = courses.ErrFileNotFound
	}
	if err != nil {
		return courses.LessonFile{}, err
	}
	return found[0], nil
}

// LessonFiles implements courses.FileReader.
func (r coursesReader) LessonFiles(ctx context.Context, lessons []courses.LessonID) ([]courses.LessonFile, error) {
	if len(lessons) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "lesson_id", lessons)
	return readAll(ctx, r.session, selectLessonFiles+where+" AND state IN ('processing', 'ready', 'refused') ORDER BY lesson_id, id DESC", args, scanLessonFile)
}

// ExpiredLessonFiles implements courses.FileReader.
func (r coursesReader) ExpiredLessonFiles(ctx context.Context, before time.Time, limit int) ([]courses.LessonFile, error) {
	return readAll(ctx, r.session, selectLessonFiles+"expires_at < ? OR lesson_id IS NULL LIMIT ?", []any{r.db.timeValue(core.Time(before)), limit}, scanLessonFile)
}

// LessonFilesForUpdate implements courses.FileWriter.
func (t coursesTx) LessonFilesForUpdate(ctx context.Context, lesson courses.LessonID) ([]courses.LessonFile, error) {
	return readAll(ctx, t.Tx.session, selectLessonFiles+"lesson_id = ? ORDER BY id"+t.Tx.db.dialect.ForUpdate, []any{lesson}, scanLessonFile)
}

// lessonFileRow is what InsertLessonFile writes.
type lessonFileRow struct {
	bun.BaseModel `bun:"table:ustat_lesson_files"`
	ID            uuid.UUID         `bun:"id,type:uuid"`
	CourseID      courses.CourseID  `bun:"course_id"`
	LessonID      courses.LessonID  `bun:"lesson_id"`
	Kind          courses.Kind      `bun:"kind"`
	Name          string            `bun:"name"`
	UploadedBy    core.UserID       `bun:"uploaded_by"`
	State         courses.FileState `bun:"state"`
	Code          string            `bun:"code"`
	RawKey        string            `bun:"raw_key"`
	CleanKey      string            `bun:"clean_key"`
	Type          string            `bun:"type"`
	Size          int64             `bun:"size"`
	CreatedAt     time.Time         `bun:"created_at"`
	ExpiresAt     any               `bun:"expires_at"`
}

// InsertLessonFile implements courses.FileWriter.
func (t coursesTx) InsertLessonFile(ctx context.Context, f courses.LessonFile) error {
	if err := checkText(1, func(int) []string { return []string{f.Name, f.Code} }); err != nil {
		return err
	}
	rows := []lessonFileRow{{
		ID: f.ID, CourseID: f.Course, LessonID: f.Lesson, Kind: f.Kind, Name: f.Name, UploadedBy: f.By, State: f.State, Code: f.Code,
		RawKey: string(f.Raw), CleanKey: string(f.Clean), Type: string(f.Type), Size: f.Size, CreatedAt: core.Time(f.CreatedAt), ExpiresAt: orNull(f.ExpiresAt),
	}}
	_, ok, err := insert[lessonFileRow, string](ctx, t.Tx, "ustat_lesson_files", rows, "id")
	if err == nil && !ok {
		return core.ErrConflict.Withf("a file with that id is there already, or another one is ready")
	}
	return err
}

// UpdateLessonFile implements courses.FileWriter.
func (t coursesTx) UpdateLessonFile(ctx context.Context, f courses.LessonFile) error {
	if err := checkText(1, func(int) []string { return []string{f.Code} }); err != nil {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_lesson_files SET state = ?, code = ?, type = ?, size = ?, expires_at = ? WHERE id = ?",
		f.State, f.Code, f.Type, f.Size, orNull(f.ExpiresAt), f.ID)
	if err == nil && n == 0 {
		return courses.ErrFileNotFound
	}
	return err
}

// DeleteLessonFiles implements courses.FileWriter.
func (t coursesTx) DeleteLessonFiles(ctx context.Context, ids ...uuid.UUID) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_lesson_files WHERE id IN (?)", bun.List(ids))
	return int(n), err
}
