package courses

import (
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/blob/media"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses/slugs"
)

// The bounds and times of lesson files.
const (
	DefaultMaxFile = 512 << 20 // bytes
	MaxFileName    = 200       // characters
	MaxUploads     = 20        // of a lesson, with those that are not removed yet
	// FileLinkTTL is how long a link to a file is good for: a video is watched with it.
	FileLinkTTL = 4 * time.Hour
	// KeepReplaced is how long a file stays behind which there is another: those who
	// have a link may go on.
	KeepReplaced   = 24 * time.Hour
	keepUnfinished = 24 * time.Hour // what is never finished
	keepRefused    = 7 * 24 * time.Hour
)

// EventFileUploaded is the type of the event by which a file waits to be processed, and
// EventFileReady and EventFileRefused of what has become of it. Their subject is
// "lesson/" and its id, their payload a [FileChanged].
const (
	EventFileUploaded = "courses.file_uploaded"
	EventFileReady    = "courses.file_ready"
	EventFileRefused  = "courses.file_refused"
)

// FileChanged is the payload of the events of lesson files.
type FileChanged struct {
	File   uuid.UUID `json:"file"`
	Course CourseID  `json:"course"`
	Lesson LessonID  `json:"lesson"`
	Code   string    `json:"code,omitempty"` // why it was refused
}

// lessonFiles is what a Service needs for files of lessons.
type lessonFiles struct {
	store  blob.Store
	links  *blob.Links
	queued bool
	most   int64
	images *media.Images
}

// ready returns nil when files can be kept, and else says what is missing.
func (f *lessonFiles) ready() error {
	switch {
	case f.store == nil || f.links == nil:
		return ErrFilesNotSetUp.Withf("this platform keeps no files of lessons: it has no store of files")
	case !f.queued:
		return ErrFilesNotSetUp.Withf("this platform keeps no files of lessons: it has no queue of jobs")
	}
	return nil
}

// fileTypes are what lessons of a kind may have.
var fileTypes = map[Kind][]blob.Type{
	Video: {blob.MP4, blob.WebM},
	File: {
		blob.PDF, blob.ZIP, blob.DOCX, blob.XLSX, blob.PPTX, blob.ODT, blob.ODS, blob.ODP, blob.PNG, blob.JPEG, blob.Text, blob.CSV,
	},
}

// NewFile is what Upload takes.
type NewFile struct {
	Name string    `json:"name" validate:"required,max=200,line"` // what its author calls it
	Size int64     `json:"-"`                                     // of the body, where it is known before; else 0
	Body io.Reader `json:"-"`                                     // read once, to its end
}

// Upload keeps a file of a lesson of the kind video or file and returns it as
// FileProcessing: it is looked at in the background and then FileReady or FileRefused.
// The lesson's present file stays until then. The body is stored while it is read, and
// memory does not grow with it. It fails with ErrLessonKind, with ErrFileSize for a body
// that is empty or too large, with ErrTooMany, and with ErrFilesNotSetUp. What the
// body's reader fails with comes back as it is.
func (s *Service) Upload(ctx context.Context, by core.Actor, course string, lesson LessonID, in NewFile) (LessonFile, error) {
	ctx = core.WithOperation(ctx, "courses.Upload")
	may, err := s.allowed(ctx, by, course, toEdit)
	if err != nil {
		return LessonFile{}, err
	}
	if err := s.files.ready(); err != nil {
		return LessonFile{}, err
	}
	in.Name = line(in.Name)
	if err := s.check(in).err(); err != nil {
		return LessonFile{}, err
	}
	if in.Size > s.files.most {
		return LessonFile{}, s.files.badSize(strconv.FormatInt(in.Size, 10))
	}
	f, err := s.beginUpload(ctx, by, may, course, lesson, in.Name)
	if err != nil {
		return LessonFile{}, err
	}
	if f.Size, err = s.put(ctx, f.Raw, in.Body); err != nil {
		s.dropUpload(ctx, f)
		return LessonFile{}, err
	}
	err = s.locked(ctx, by, may, toEdit, course, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		return s.endUpload(ctx, tx, t, c, &f)
	})
	if err != nil {
		if !errors.Is(err, core.ErrOutcomeUnknown) {
			s.dropUpload(ctx, f)
		}
		return LessonFile{}, err
	}
	return f, nil
}

// beginUpload adds the row of an upload, so that its keys are known before there is
// anything under them.
func (s *Service) beginUpload(ctx context.Context, by core.Actor, may scope, course string, lesson LessonID, name string) (LessonFile, error) {
	var f LessonFile
	err := s.locked(ctx, by, may, toEdit, course, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		l, err := tx.LessonByID(ctx, c.ID, lesson)
		if err != nil {
			return err
		}
		if fileTypes[l.Kind] == nil {
			return ErrLessonKind
		}
		there, err := tx.LessonFilesForUpdate(ctx, lesson)
		if err != nil {
			return err
		}
		if len(there) >= MaxUploads {
			return tooMany("file", MaxUploads, len(there))
		}
		f = LessonFile{
			ID: uuid.Must(uuid.NewV7()), Course: c.ID, Lesson: lesson, Kind: l.Kind, Name: name, By: by.UserID, State: FileUploading,
			Raw: blob.NewKey(blob.Raw), Clean: blob.NewKey(blob.Raw), CreatedAt: core.Time(t.at), ExpiresAt: core.Time(t.at.Add(keepUnfinished)),
		}
		return tx.InsertLessonFile(ctx, f)
	})
	return f, err
}

// put stores a body of at least one byte and at most Config.MaxFile.
func (s *Service) put(ctx context.Context, key blob.Key, body io.Reader) (int64, error) {
	size, err := s.files.store.Put(ctx, key, blob.Bound(ctx, body, s.files.most))
	switch {
	case errors.Is(err, blob.ErrTooLarge):
		return 0, s.files.badSize("more")
	case err == nil && size == 0:
		return 0, s.files.badSize("0")
	}
	return size, err
}

func (f *lessonFiles) badSize(got string) error {
	return ErrFileSize.With(core.Violation{
		Field: "body", Code: "size", Limit: "1-" + strconv.FormatInt(f.most, 10), Got: got, Message: "a file of this many bytes is not taken",
	})
}

// endUpload hands an upload to the background.
func (s *Service) endUpload(ctx context.Context, tx Tx, t trail, c *Course, f *LessonFile) error {
	if _, err := tx.LessonByID(ctx, c.ID, f.Lesson); err != nil {
		return err // it was deleted meanwhile
	}
	stored := *f
	stored.State, stored.ExpiresAt = FileProcessing, core.Time(t.at.Add(keepUnfinished))
	if err := tx.UpdateLessonFile(ctx, stored); err != nil {
		return err
	}
	*f = stored
	if audited(t.by, c) {
		if err := t.audit(ctx, tx, EventFileUploaded, f.subject(), f.changed()); err != nil {
			return err
		}
	}
	return tx.Emit(ctx, core.NewEvent(EventFileUploaded, f.subject(), t.by, t.at, f.changed()))
}

func (f *LessonFile) subject() string { return "lesson/" + strconv.FormatInt(int64(f.Lesson), 10) }

func (f *LessonFile) changed() FileChanged { return FileChanged{f.ID, f.Course, f.Lesson, f.Code} }

// dropUpload removes an upload that has come to nothing, even where the caller has
// gone. What cannot be removed now expires.
func (s *Service) dropUpload(ctx context.Context, f LessonFile) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if s.files.store.Delete(ctx, f.Raw) == nil {
		_ = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
			_, err := tx.DeleteLessonFiles(ctx, f.ID)
			return err
		})
	}
}

// RemoveFile takes the files of a lesson away from everybody: they are deleted later. A
// lesson without one is ErrFileNotFound.
func (s *Service) RemoveFile(ctx context.Context, by core.Actor, course string, lesson LessonID) error {
	ctx = core.WithOperation(ctx, "courses.RemoveFile")
	may, err := s.allowed(ctx, by, course, toEdit)
	if err != nil {
		return err
	}
	return s.locked(ctx, by, may, toEdit, course, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		if _, err := tx.LessonByID(ctx, c.ID, lesson); err != nil {
			return err
		}
		there, err := tx.LessonFilesForUpdate(ctx, lesson)
		if err != nil {
			return err
		}
		removed := false
		for _, f := range there { // at most MaxUploads
			if f.State == FileReplaced || f.State == FileUploading {
				continue
			}
			f.State, f.ExpiresAt, removed = FileReplaced, core.Time(t.at.Add(KeepReplaced)), true
			if err := tx.UpdateLessonFile(ctx, f); err != nil {
				return err
			}
		}
		if !removed {
			return ErrFileNotFound
		}
		return t.changed(ctx, tx, EventContent, c, Changed{Lesson: lesson}, false)
	})
}

// FileLink is what grants the file of a lesson to whoever has it.
type FileLink struct {
	File    LessonFile
	Token   string
	Expires time.Time
}

// LinkFile returns a link to the file of a lesson that is open to the actor, good for
// FileLinkTTL: whoever gets hold of it may fetch the file until then. A lesson that is
// closed to them is ErrLessonLocked, whose violations name why, and one without a file
// that is FileReady ErrFileNotFound.
func (s *Service) LinkFile(ctx context.Context, by core.Actor, course string, lesson LessonID) (FileLink, error) {
	l, err := s.Lesson(ctx, by, course, lesson)
	ctx = core.WithOperation(ctx, "courses.LinkFile")
	if err != nil {
		return FileLink{}, err
	}
	if l.Locked {
		return FileLink{}, lockedBecause(l.Reasons)
	}
	files, err := s.store.LessonFiles(ctx, []LessonID{lesson})
	if err != nil {
		return FileLink{}, err
	}
	shown := shownFile(files, &l, false)
	if shown == nil {
		return FileLink{}, ErrFileNotFound
	}
	if err := s.files.ready(); err != nil {
		return FileLink{}, err
	}
	link := FileLink{File: *shown, Expires: s.clock.Now().Add(FileLinkTTL).Truncate(time.Second)}
	link.Token, err = s.files.links.Sign(blob.Link{Key: shown.served(), Type: shown.Type, Name: shown.savedAs(), Expires: link.Expires})
	return link, err
}

// lockedBecause returns ErrLessonLocked with why.
func lockedBecause(reasons []string) error {
	return ErrLessonLocked.With(core.Invalid("lesson", "locked", "", strings.Join(reasons, " "), "the lesson is closed: "+strings.Join(reasons, ", ")).Violations...)
}

// served returns the key of what is handed out.
func (f *LessonFile) served() blob.Key {
	if f.Type == blob.PNG || f.Type == blob.JPEG {
		return f.Clean
	}
	return f.Raw
}

// savedAs returns the name under which the file is saved: its own in the letters that
// every system takes, with the extension of its type.
func (f *LessonFile) savedAs() string {
	name := slugs.Make(strings.TrimSuffix(f.Name, path.Ext(f.Name)))
	if name == "" {
		name = "lesson-" + strconv.FormatInt(int64(f.Lesson), 10)
	}
	return name[:min(len(name), 90)] + "." + string(f.Type)
}

// showFiles fills the files of lessons by one statement, and by none where no lesson
// is of a kind that has one. Those who edit the course see the newest upload, whatever
// its state; others the one that is ready.
func showFiles(ctx context.Context, r FileReader, lessons []Lesson, editor bool) error {
	var ids []LessonID
	for _, l := range lessons {
		if fileTypes[l.Kind] != nil {
			ids = append(ids, l.ID)
		}
	}
	if ids == nil {
		return nil
	}
	files, err := r.LessonFiles(ctx, ids)
	if err != nil {
		return err
	}
	for i := range lessons {
		lessons[i].File = shownFile(files, &lessons[i], editor)
	}
	return nil
}

// showFile is showFiles for one lesson.
func showFile(ctx context.Context, r FileReader, l *Lesson, editor bool) error {
	one := []Lesson{*l}
	err := showFiles(ctx, r, one, editor)
	l.File = one[0].File
	return err
}

// shownFile returns the file of a lesson among files, the newest first, or nil.
func shownFile(files []LessonFile, l *Lesson, editor bool) *LessonFile {
	at := slices.IndexFunc(files, func(f LessonFile) bool {
		return f.Lesson == l.ID && f.Kind == l.Kind && (editor || f.State == FileReady)
	})
	if at < 0 {
		return nil
	}
	return &files[at]
}
