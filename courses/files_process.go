package courses

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/blob/media"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// ProcessLessonFile looks at a file that was uploaded: it is the handler of
// EventFileUploaded. The type comes from the content; one that lessons of the kind do
// not have makes the file FileRefused, and an image is made anew. Run twice, at once or
// again after the death of a process, it ends the same: both attempts write the same
// bytes under the same key, and the first to end decides. An error means that it is to
// be tried again.
func (s *Service) ProcessLessonFile(ctx context.Context, id uuid.UUID) error {
	ctx = core.WithOperation(ctx, "courses.ProcessLessonFile")
	if err := s.files.ready(); err != nil {
		return err
	}
	f, err := s.store.LessonFileByID(ctx, id)
	if errors.Is(err, ErrFileNotFound) || err == nil && (f.State != FileProcessing || f.Lesson == 0) {
		return nil // done, or gone
	}
	if err != nil {
		return err
	}
	t, size, err := s.inspect(ctx, f)
	if err != nil && (core.KindOf(err) != core.KindInvalid || errors.Is(err, blob.ErrKey)) {
		return err
	}
	if err == nil {
		f.Type, f.Size = t, size
	}
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error { return s.endProcessing(ctx, tx, f, err) })
}

// inspect returns what a file is and how large what is served of it. What is refused is
// a core.ErrInvalid, whose code says why.
func (s *Service) inspect(ctx context.Context, f LessonFile) (blob.Type, int64, error) {
	file, err := s.files.store.Open(ctx, f.Raw)
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	t, err := media.Sniff(file)
	if err != nil {
		return "", 0, err
	}
	if !slices.Contains(fileTypes[f.Kind], t) {
		return "", 0, media.ErrType
	}
	if t != blob.PNG && t != blob.JPEG {
		return t, file.Size, nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", 0, err
	}
	size, err := s.clean(ctx, f.Clean, file, t)
	return t, size, err
}

// clean stores an image made anew.
func (s *Service) clean(ctx context.Context, key blob.Key, file io.ReadSeeker, t blob.Type) (int64, error) {
	pipe, made := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var err error
		defer func() {
			if reason := recover(); reason != nil {
				err = media.ErrBroken.Because(fmt.Errorf("panic: %v\n%s", reason, debug.Stack()))
			}
			made.CloseWithError(err)
		}()
		err = s.files.images.Clean(ctx, made, file, t)
	}()
	size, err := s.files.store.Put(ctx, key, pipe)
	_ = pipe.Close() // where Put has ended early, writing fails
	<-done
	return size, err
}

// endProcessing says what has become of a file: it is refused, or takes the place of
// the one before it, unless a later upload was ready earlier.
func (s *Service) endProcessing(ctx context.Context, tx Tx, f LessonFile, refused error) error {
	files, err := tx.LessonFilesForUpdate(ctx, f.Lesson)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(files, func(stored LessonFile) bool { return stored.ID == f.ID && stored.State == FileProcessing }) {
		return nil // another attempt has ended, or it was removed
	}
	now := core.Time(s.clock.Now())
	event := EventFileReady
	f.State, f.ExpiresAt = FileReady, time.Time{}
	if refused != nil {
		event, f.State, f.Code, f.ExpiresAt = EventFileRefused, FileRefused, codeOf(refused), now.Add(keepRefused)
	}
	at := slices.IndexFunc(files, func(stored LessonFile) bool { return stored.State == FileReady })
	switch {
	case at < 0 || refused != nil:
	case files[at].ID.String() > f.ID.String():
		event, f.State, f.ExpiresAt = "", FileReplaced, now.Add(KeepReplaced)
	default:
		files[at].State, files[at].ExpiresAt = FileReplaced, now.Add(KeepReplaced)
		if err := tx.UpdateLessonFile(ctx, files[at]); err != nil {
			return err
		}
	}
	if err := fault.Hit("courses.process_file.after_replaced"); err != nil {
		return err
	}
	if err := tx.UpdateLessonFile(ctx, f); err != nil || event == "" {
		return err
	}
	return tx.Emit(ctx, core.NewEvent(event, f.subject(), core.Actor{UserID: f.By}, now, f.changed()))
}

func codeOf(err error) string {
	if e, ok := errors.AsType[*core.Error](err); ok {
		return e.Code
	}
	return core.ErrInternal.Code
}

// CleanFiles removes up to limit files of lessons that have expired before a time or
// whose lesson is gone, and returns how many it has removed.
func (s *Service) CleanFiles(ctx context.Context, before time.Time, limit int) (removed int, err error) {
	ctx = core.WithOperation(ctx, "courses.CleanFiles")
	if s.files.store == nil {
		return 0, nil // a process that has them does it
	}
	expired, err := s.store.ExpiredLessonFiles(ctx, before, limit)
	if err != nil || len(expired) == 0 {
		return 0, err
	}
	var gone []uuid.UUID
	var errs []error
	for _, f := range expired {
		err := errors.Join(s.files.store.Delete(ctx, f.Raw), s.files.store.Delete(ctx, f.Clean))
		if err == nil {
			gone = append(gone, f.ID)
		}
		errs = append(errs, err)
	}
	errs = append(errs, s.store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		removed, err = tx.DeleteLessonFiles(ctx, gone...)
		return err
	}))
	return removed, errors.Join(errs...)
}
