package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/ustat/ustat/courses"
)

type lessonFile struct {
	_     struct{} `nullable:"true"`
	Name  string   `json:"name" doc:"As its author calls it"`
	Type  *string  `json:"type" doc:"By its content; null until it is ready"`
	Size  int64    `json:"size" doc:"In bytes"`
	State string   `json:"state" enum:"processing,ready,refused"`
	Error *string  `json:"error" doc:"The code of why it was refused, else null"`
}

func lessonFileOf(f *courses.LessonFile) *lessonFile {
	if f == nil {
		return nil
	}
	out := &lessonFile{Name: f.Name, Size: f.Size, State: string(f.State), Error: textOrNull(f.Code)}
	if f.Type != "" {
		out.Type = textOrNull(f.Type.MediaType())
	}
	return out
}

type fileLink struct {
	URL       string    `json:"url" doc:"Whoever has it may fetch the file, until it expires"`
	ExpiresAt time.Time `json:"expires_at"`
	Name      string    `json:"name"`
	Type      string    `json:"type"`
	Size      int64     `json:"size" doc:"In bytes"`
}

func (a *api) mountLessonFiles() {
	const tag = "courses"
	path := coursePath + "lessons/{id}/file/"
	get(a, route{
		path: path, id: "lessons-file-get", tag: tag, summary: "A link to the file of a lesson",
		description: "For those to whom the lesson is open. The link is good for 4 hours; another call gives another one.", failures: []int{http.StatusConflict},
	}, func(ctx context.Context, c *call) (fileLink, error) {
		id, err := c.lesson()
		if err != nil {
			return fileLink{}, err
		}
		l, err := a.platform.Courses.LinkFile(ctx, c.actor, c.path("slug"), id)
		if err != nil {
			return fileLink{}, err
		}
		return fileLink{absolute(c.request, filesPath+l.Token+"/"), l.Expires.UTC(), l.File.Name, l.File.Type.MediaType(), l.File.Size}, nil
	})
	send(a, route{
		method: http.MethodPut, path: path, id: "lessons-file-put", tag: tag, summary: "Upload the file of a lesson",
		description: "The body is the file itself, whatever its Content-Type. It is looked at in the background: the lesson keeps the file that it has until this one is ready.",
		query:       []param{{name: "name", kind: text, required: true, doc: "What the file is called, one line of at most 200 characters"}},
		status:      http.StatusAccepted, upload: true, signedIn: true,
	}, a.uploadFile)
	send(a, route{
		method: http.MethodDelete, path: path, id: "lessons-file-delete", tag: tag, summary: "Remove the file of a lesson", signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (none, error) {
		id, err := c.lesson()
		if err != nil {
			return none{}, err
		}
		return none{}, a.platform.Courses.RemoveFile(ctx, c.actor, c.path("slug"), id)
	})
}

func (a *api) uploadFile(ctx context.Context, c *call, _ none) (lessonFile, error) {
	id, err := c.lesson()
	if err != nil {
		return lessonFile{}, err
	}
	body := &uploadBody{Reader: c.request.Body, begin: sync.OnceFunc(func() { withDeadlines(c.writer) })}
	f, err := a.platform.Courses.Upload(ctx, c.actor, c.path("slug"), id, courses.NewFile{Name: c.args.text("name"), Size: max(0, c.request.ContentLength), Body: body})
	switch {
	case body.failed != nil:
		return lessonFile{}, badJSON("the body could not be read").Because(err)
	case errors.Is(err, courses.ErrFileSize):
		return lessonFile{}, badFileSize(ctx, err)
	case err != nil:
		return lessonFile{}, err
	}
	return *lessonFileOf(&f), nil
}

// badFileSize is a file that is empty, or one that is too large: 413.
func badFileSize(ctx context.Context, err error) *Problem {
	p := problemOf(ctx, err)
	if p.Errors[0].Got == "0" {
		return p
	}
	large := newProblem(http.StatusRequestEntityTooLarge, p.Code, p.Detail)
	large.Errors = p.Errors
	return large
}

// uploadBody takes its time once it is read, and remembers that the client's side broke
// off.
type uploadBody struct {
	io.Reader
	begin  func()
	failed error
}

func (b *uploadBody) Read(p []byte) (int, error) {
	b.begin()
	n, err := b.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.failed = err
	}
	return n, err
}
