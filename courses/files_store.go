package courses

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
)

// FileState is how far a file of a lesson is.
type FileState string

// The states: a file is Uploading, Processing, and then Ready or Refused. A lesson has
// at most one that is Ready, which stays until another one is; then it is Replaced.
const (
	FileUploading  FileState = "uploading"
	FileProcessing FileState = "processing"
	FileReady      FileState = "ready"
	FileRefused    FileState = "refused"
	FileReplaced   FileState = "replaced"
)

// FileStates lists every state.
var FileStates = [...]FileState{FileUploading, FileProcessing, FileReady, FileRefused, FileReplaced}

// LessonFile is an upload and what has become of it.
type LessonFile struct {
	ID     uuid.UUID // of version 7: a later upload is greater
	Course CourseID
	Lesson LessonID // 0 once the lesson is gone
	Kind   Kind     // of the lesson when it was uploaded; it is shown while that is so
	Name   string   // as its author calls it, one line
	By     core.UserID
	State  FileState
	Code   string // why it is Refused: a code of core.Error
	// Raw is the key of what was uploaded, Clean that of the image made anew of it. Both
	// are known before there is anything under them.
	Raw, Clean blob.Key
	Type       blob.Type // by its content; empty until it is Ready
	Size       int64     // bytes of what is served once it is Ready, before that of the upload; 0 while Uploading
	CreatedAt  time.Time
	ExpiresAt  time.Time // when it is removed with what is under its keys; zero while it is Ready
}

// FileReader reads what files lessons have.
type FileReader interface {
	// LessonFileByID returns a file, or fails with ErrFileNotFound.
	LessonFileByID(ctx context.Context, id uuid.UUID) (LessonFile, error)
	// LessonFiles returns those files of the lessons that are Processing, Ready or
	// Refused, the newest of a lesson first.
	LessonFiles(ctx context.Context, lessons []LessonID) ([]LessonFile, error)
	// ExpiredLessonFiles returns up to limit files that have expired before a time, or
	// whose lesson is gone, in any order.
	ExpiredLessonFiles(ctx context.Context, before time.Time, limit int) ([]LessonFile, error)
}

// FileWriter writes what files lessons have.
type FileWriter interface {
	// LessonFilesForUpdate returns all files of a lesson, whatever their state, by ID and
	// locks them.
	LessonFilesForUpdate(ctx context.Context, lesson LessonID) ([]LessonFile, error)
	// InsertLessonFile adds a file, whose lesson is there. Its caller holds the course's
	// lock. An ID that is there is core.ErrConflict.
	InsertLessonFile(ctx context.Context, f LessonFile) error
	// UpdateLessonFile writes State, Code, Type, Size and ExpiresAt of a file, or fails
	// with ErrFileNotFound. A second Ready one of a lesson is core.ErrConflict, after
	// which the Update fails.
	UpdateLessonFile(ctx context.Context, f LessonFile) error
	// DeleteLessonFiles removes those of the files that are there and returns how many.
	DeleteLessonFiles(ctx context.Context, ids ...uuid.UUID) (int, error)
}
