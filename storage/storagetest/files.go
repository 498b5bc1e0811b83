package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// lessonFile returns a file of a lesson that is being processed. Later ones have
// greater ids.
func lessonFile(l courses.Lesson) courses.LessonFile {
	return courses.LessonFile{
		ID: uuid.Must(uuid.NewV7()), Course: l.CourseID, Lesson: l.ID, Kind: courses.File, Name: awkward[0], By: 42, State: courses.FileProcessing,
		Raw: blob.NewKey(blob.Raw), Clean: blob.NewKey(blob.Raw), Size: 1 << 40, CreatedAt: day, ExpiresAt: day.Add(time.Hour),
	}
}

// filedLessons returns two lessons.
func filedLessons(t testing.TB, b *storage.Backend) []courses.Lesson {
	t.Helper()
	one, _, m := book(t, b)
	return insertLessons(t, b,
		courses.Lesson{CourseID: one.ID, ModuleID: m[0].ID, Title: "First", Kind: courses.File, Position: 1},
		courses.Lesson{CourseID: one.ID, ModuleID: m[0].ID, Title: "Second", Kind: courses.File, Position: 2})
}

func insertFiles(t testing.TB, b *storage.Backend, list ...courses.LessonFile) {
	t.Helper()
	write(t, b, func(ctx context.Context, tx courses.Tx) error {
		for _, f := range list {
			if err := tx.InsertLessonFile(ctx, f); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s suite) files() {
	s.run("InsertLessonFile adds a file and LessonFileByID returns it", func(t *testing.T, b *storage.Backend) {
		lessons := filedLessons(t, b)
		want := lessonFile(lessons[0])
		want.Code = awkward[1]
		given := want
		given.CreatedAt, given.ExpiresAt = zoned(day), zoned(day.Add(time.Hour))
		insertFiles(t, b, given)
		got, err := b.Courses.LessonFileByID(timeout(t), want.ID)
		require.NoError(t, err)
		utc(t, day, got.CreatedAt)
		utc(t, day.Add(time.Hour), got.ExpiresAt)
		require.Equal(t, want, got)
		_, err = b.Courses.LessonFileByID(timeout(t), uuid.New())
		require.ErrorIs(t, err, courses.ErrFileNotFound)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			if err := tx.InsertLessonFile(ctx, want); !errors.Is(err, core.ErrConflict) {
				return fmt.Errorf("an ID that is there: %w", err)
			}
			bad := lessonFile(lessons[0])
			bad.Name = "a\x00"
			if err := tx.InsertLessonFile(ctx, bad); !errors.Is(err, core.ErrInvalid) {
				return fmt.Errorf("a NUL: %w", err)
			}
			return nil
		})
	})
	s.run("LessonFiles returns those that are processing, ready or refused, the newest of a lesson first", func(t *testing.T, b *storage.Backend) {
		lessons := filedLessons(t, b)
		var list []courses.LessonFile
		for i, state := range courses.FileStates {
			f := lessonFile(lessons[i%2])
			if f.State = state; state == courses.FileReady {
				f.ExpiresAt, f.Type = time.Time{}, blob.PDF
			}
			list = append(list, f)
		}
		insertFiles(t, b, list...) // uploading, processing, ready, refused, replaced
		got, err := b.Courses.LessonFiles(timeout(t), []courses.LessonID{lessons[0].ID, lessons[1].ID, 404})
		require.NoError(t, err)
		require.Equal(t, []courses.LessonFile{list[2], list[3], list[1]}, got)
		got, err = b.Courses.LessonFiles(timeout(t), []courses.LessonID{lessons[0].ID})
		require.NoError(t, err)
		require.Equal(t, []courses.LessonFile{list[2]}, got)
		got, err = b.Courses.LessonFiles(timeout(t), nil)
		require.NoError(t, err)
		require.Empty(t, got)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			all, err := tx.LessonFilesForUpdate(ctx, lessons[0].ID)
			require.Equal(t, []courses.LessonFile{list[0], list[2], list[4]}, all, "whatever their state, by ID")
			return err
		})
	})
	s.run("UpdateLessonFile writes what becomes of a file, and a lesson has one that is ready", func(t *testing.T, b *storage.Backend) {
		lessons := filedLessons(t, b)
		want, other := lessonFile(lessons[0]), lessonFile(lessons[0])
		insertFiles(t, b, want, other)
		want.State, want.Code, want.Type, want.Size, want.ExpiresAt = courses.FileReady, awkward[2], blob.MP4, 7, time.Time{}
		changed := want
		changed.Name, changed.Lesson, changed.Kind, changed.CreatedAt = "another", lessons[1].ID, courses.Video, day.Add(time.Hour)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			if err := tx.UpdateLessonFile(ctx, lessonFile(lessons[0])); !errors.Is(err, courses.ErrFileNotFound) {
				return fmt.Errorf("a file that is not there: %w", err)
			}
			return tx.UpdateLessonFile(ctx, changed)
		})
		got, err := b.Courses.LessonFileByID(timeout(t), want.ID)
		require.NoError(t, err)
		require.Equal(t, want, got)
		second := other
		second.State, second.ExpiresAt = courses.FileReady, time.Time{}
		err = b.Courses.Update(timeout(t), func(ctx context.Context, tx courses.Tx) error { return tx.UpdateLessonFile(ctx, second) })
		require.ErrorIs(t, err, core.ErrConflict)
		got, err = b.Courses.LessonFileByID(timeout(t), other.ID)
		require.NoError(t, err)
		require.Equal(t, other, got)
	})
	s.run("LessonFilesForUpdate keeps others from changing them until the end of the transaction", func(t *testing.T, b *storage.Backend) {
		l := filedLessons(t, b)[0]
		f := lessonFile(l)
		f.Size = 0
		insertFiles(t, b, f)
		grow := func(ctx context.Context, tx courses.Tx) error {
			all, err := tx.LessonFilesForUpdate(ctx, l.ID)
			if err != nil {
				return err
			}
			all[0].Size++
			return tx.UpdateLessonFile(ctx, all[0])
		}
		beside(t, b, grow, grow)
		const writers = 8
		var wg sync.WaitGroup
		errs := make([]error, writers)
		for i := range writers {
			wg.Go(func() {
				errs[i] = b.Courses.Update(timeout(t), grow)
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		got, err := b.Courses.LessonFileByID(timeout(t), f.ID)
		require.NoError(t, err)
		require.EqualValues(t, writers+2, got.Size)
	})
	s.run("ExpiredLessonFiles returns those that have expired or whose lesson is gone, up to limit, and DeleteLessonFiles removes them", func(t *testing.T, b *storage.Backend) {
		lessons := filedLessons(t, b)
		late, soon, ready, orphan := lessonFile(lessons[0]), lessonFile(lessons[0]), lessonFile(lessons[0]), lessonFile(lessons[1])
		soon.ExpiresAt = day.Add(time.Minute)
		ready.State, ready.ExpiresAt = courses.FileReady, time.Time{}
		orphan.State, orphan.ExpiresAt = courses.FileReady, time.Time{}
		insertFiles(t, b, late, soon, ready, orphan)
		expired := func(before time.Time, limit int) (ids []uuid.UUID) {
			t.Helper()
			got, err := b.Courses.ExpiredLessonFiles(timeout(t), before, limit)
			require.NoError(t, err)
			for _, f := range got {
				ids = append(ids, f.ID)
			}
			return ids
		}
		require.Empty(t, expired(day.Add(time.Minute), 10))
		require.ElementsMatch(t, []uuid.UUID{soon.ID}, expired(day.Add(time.Minute+time.Microsecond), 10))
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			return tx.DeleteLesson(ctx, lessons[1].CourseID, lessons[1].ID)
		})
		require.ElementsMatch(t, []uuid.UUID{soon.ID, orphan.ID}, expired(day.Add(time.Minute+time.Microsecond), 10))
		require.Len(t, expired(day.Add(24*time.Hour), 2), 2)
		gone, err := b.Courses.LessonFileByID(timeout(t), orphan.ID)
		require.NoError(t, err)
		require.Zero(t, gone.Lesson)
		write(t, b, func(ctx context.Context, tx courses.Tx) error {
			n, err := tx.DeleteLessonFiles(ctx, soon.ID, orphan.ID, uuid.New())
			if err == nil && n != 2 {
				err = fmt.Errorf("%d were removed", n)
			}
			none, noneErr := tx.DeleteLessonFiles(ctx)
			if none != 0 {
				err = errors.New("no ids remove nothing")
			}
			return errors.Join(err, noneErr)
		})
		require.ElementsMatch(t, []uuid.UUID{late.ID}, expired(day.Add(24*time.Hour), 10))
	})
}
