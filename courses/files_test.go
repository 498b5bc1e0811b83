package courses_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"strconv"
	"strings"
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

// filed is a world that keeps files, with a course of ann's that has one lesson.
type filed struct {
	*world
	store  blob.Store
	links  *blob.Links
	slug   string
	lesson courses.LessonID
}

func withFiles(t *testing.T, w *world, kind courses.Kind) *filed {
	t.Helper()
	dir, err := blob.Dir(t.TempDir(), nil)
	require.NoError(t, err)
	f := &filed{world: w, store: dir, links: new(blob.Links)}
	require.NoError(t, f.links.SetKey([]byte("0123456789abcdef0123456789abcdef")))
	f.Service = f.service(t, 1000)
	w.shelf(t)
	f.slug, f.lesson = f.course(t, kind)
	return f
}

func (f *filed) service(t *testing.T, most int64) *courses.Service {
	cursors := new(core.Cursors)
	require.NoError(t, cursors.SetKey([]byte("0123456789abcdef0123456789abcdef")))
	return courses.NewService(courses.Config{
		Store: f.backend.Courses, Users: f.backend.Accounts, Producers: f.producers, Cursors: cursors, Clock: f.clock,
		Files: f.store, Links: f.links, Queued: true, MaxFile: most,
	})
}

func (f *filed) course(t *testing.T, kind courses.Kind) (string, courses.LessonID) {
	t.Helper()
	c, err := f.Create(t.Context(), f.ann, courses.NewCourse{Title: "Files", Price: &core.Money{Currency: "USD"}, Category: "web"})
	require.NoError(t, err)
	m, err := f.CreateModule(t.Context(), f.ann, c.Slug, courses.NewModule{Title: "One"})
	require.NoError(t, err)
	l, err := f.CreateLesson(t.Context(), f.ann, c.Slug, m.ID, courses.NewLesson{Title: "Lesson", Kind: kind})
	require.NoError(t, err)
	return c.Slug, l.ID
}

func (f *filed) upload(t *testing.T, name, content string) courses.LessonFile {
	t.Helper()
	made, err := f.Upload(t.Context(), f.ann, f.slug, f.lesson, courses.NewFile{Name: name, Body: strings.NewReader(content)})
	require.NoError(t, err)
	require.Equal(t, courses.FileProcessing, made.State)
	return made
}

// uploaded uploads a file and processes it.
func (f *filed) uploaded(t *testing.T, name, content string) *courses.LessonFile {
	t.Helper()
	made := f.upload(t, name, content)
	require.NoError(t, f.ProcessLessonFile(t.Context(), made.ID))
	return f.shown(t, f.ann)
}

// shown returns what somebody sees of the lesson's file.
func (f *filed) shown(t *testing.T, by core.Actor) *courses.LessonFile {
	t.Helper()
	l, err := f.Lesson(t.Context(), by, f.slug, f.lesson)
	require.NoError(t, err)
	list, err := f.Lessons(t.Context(), by, f.slug, 0, core.Page{})
	require.NoError(t, err)
	require.Equal(t, l.File, list.Items[0].File)
	return l.File
}

// content returns what a link to the lesson's file gives.
func (f *filed) content(t *testing.T, by core.Actor) string {
	t.Helper()
	link, err := f.LinkFile(t.Context(), by, f.slug, f.lesson)
	require.NoError(t, err)
	opened, err := f.links.Open(link.Token, f.clock.now)
	require.NoError(t, err)
	require.Equal(t, link.File.Type.MediaType(), opened.MediaType())
	return f.stored(t, opened.Key)
}

func (f *filed) stored(t *testing.T, key blob.Key) string {
	t.Helper()
	file, err := f.store.Open(t.Context(), key)
	require.NoError(t, err)
	defer file.Close()
	text, err := io.ReadAll(file)
	require.NoError(t, err)
	return string(text)
}

// rows counts the files that are stored, by state.
func (f *filed) rows(t *testing.T) map[courses.FileState]int {
	t.Helper()
	db, err := sql.Open(f.driver, f.dsn)
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT state, count(*) FROM ustat_lesson_files GROUP BY state")
	require.NoError(t, err)
	defer rows.Close()
	counts := map[courses.FileState]int{}
	for rows.Next() {
		var state courses.FileState
		var n int
		require.NoError(t, rows.Scan(&state, &n))
		counts[state] = n
	}
	require.NoError(t, rows.Err())
	return counts
}

func TestALessonKeepsItsFileUntilAnotherOneIsReady(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		f := withFiles(t, w, courses.File)
		require.Nil(t, f.shown(t, f.ann))
		first := f.uploaded(t, "Конспект №1.pdf", "%PDF-1.7 first")
		require.Equal(t, courses.FileReady, first.State)
		require.Equal(t, blob.PDF, first.Type)
		require.EqualValues(t, 14, first.Size)
		require.Equal(t, "Конспект №1.pdf", first.Name)
		require.Zero(t, first.ExpiresAt)

		second := f.upload(t, "two.txt", "second")
		require.Equal(t, second.ID, f.shown(t, f.ann).ID, "the author sees the newest")
		require.Equal(t, "%PDF-1.7 first", f.content(t, f.ann))
		require.NoError(t, f.ProcessLessonFile(t.Context(), second.ID))
		require.NoError(t, f.ProcessLessonFile(t.Context(), second.ID)) // at least once
		require.Equal(t, "second", f.content(t, f.ann))
		require.Equal(t, map[courses.FileState]int{courses.FileReady: 1, courses.FileReplaced: 1}, f.rows(t))
		require.Equal(t, "%PDF-1.7 first", f.stored(t, first.Raw), "those who have a link go on")

		refused := f.uploaded(t, "three.html", "<!DOCTYPE html><script>alert(1)</script>")
		require.Equal(t, courses.FileRefused, refused.State)
		require.Equal(t, "media.type", refused.Code)
		require.Equal(t, "second", f.content(t, f.ann), "one that is refused takes no place")

		// A text has no file; the one it had comes back with the kind.
		kind := courses.Text
		l, err := f.EditLesson(t.Context(), f.ann, f.slug, f.lesson, courses.LessonEdit{Kind: &kind})
		require.NoError(t, err)
		require.Nil(t, l.File)
		_, err = f.LinkFile(t.Context(), f.ann, f.slug, f.lesson)
		require.ErrorIs(t, err, courses.ErrFileNotFound)
		kind = courses.File
		l, err = f.EditLesson(t.Context(), f.ann, f.slug, f.lesson, courses.LessonEdit{Kind: &kind})
		require.NoError(t, err)
		require.Equal(t, refused.ID, l.File.ID)

		require.NoError(t, f.RemoveFile(t.Context(), f.ann, f.slug, f.lesson))
		require.Nil(t, f.shown(t, f.ann))
		require.ErrorIs(t, f.RemoveFile(t.Context(), f.ann, f.slug, f.lesson), courses.ErrFileNotFound)
		f.cleanUp(t, f.clock.now.Add(courses.KeepReplaced+time.Hour), 3)
	})
}

// cleanUp removes what has expired and holds that nothing of it is left.
func (f *filed) cleanUp(t *testing.T, before time.Time, want int) {
	t.Helper()
	expired, err := f.backend.Courses.ExpiredLessonFiles(t.Context(), before, 100)
	require.NoError(t, err)
	removed, err := f.CleanFiles(t.Context(), before, 100)
	require.NoError(t, err)
	require.Equal(t, want, removed)
	for _, file := range expired {
		for _, key := range []blob.Key{file.Raw, file.Clean} {
			_, err := f.store.Open(t.Context(), key)
			require.ErrorIs(t, err, blob.ErrNotFound)
		}
	}
	require.NoError(t, f.backend.Verify(t.Context()))
}

func TestTheFilesOfWhatIsDeletedAreRemoved(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		f := withFiles(t, w, courses.File)
		f.uploaded(t, "a.txt", "text")
		pending := f.upload(t, "b.txt", "text")
		f.cleanUp(t, f.clock.now, 0)
		require.NoError(t, f.DeleteLesson(t.Context(), f.ann, f.slug, f.lesson, 0))
		require.NoError(t, f.ProcessLessonFile(t.Context(), pending.ID))
		f.cleanUp(t, f.clock.now, 2)
		require.NoError(t, f.ProcessLessonFile(t.Context(), pending.ID))
		require.NoError(t, f.ProcessLessonFile(t.Context(), uuid.New()))

		f.slug, f.lesson = f.course(t, courses.Video)
		f.uploaded(t, "c.mp4", "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom")
		require.NoError(t, f.Delete(t.Context(), f.ann, f.slug, 0))
		f.cleanUp(t, f.clock.now, 1)
	})
}

func TestATypeIsOfTheKindOfTheLesson(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		f := withFiles(t, w, courses.Video)
		video := f.uploaded(t, "lecture.avi", "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom")
		require.Equal(t, blob.MP4, video.Type)
		link, err := f.LinkFile(t.Context(), f.ann, f.slug, f.lesson)
		require.NoError(t, err)
		opened, err := f.links.Open(link.Token, f.clock.now)
		require.NoError(t, err)
		require.Equal(t, "lecture.mp4", opened.Name, "the name says what it is, and not what was said")
		require.Equal(t, courses.FileRefused, f.uploaded(t, "lecture.mp4", "%PDF-1.7").State)
		kind := courses.Text
		_, err = f.EditLesson(t.Context(), f.ann, f.slug, f.lesson, courses.LessonEdit{Kind: &kind})
		require.NoError(t, err)
		_, err = f.Upload(t.Context(), f.ann, f.slug, f.lesson, courses.NewFile{Name: "a", Body: strings.NewReader("a")})
		require.ErrorIs(t, err, courses.ErrLessonKind)
	})
}

func TestAnImageIsMadeAnew(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		f := withFiles(t, w, courses.File)
		var file bytes.Buffer
		require.NoError(t, png.Encode(&file, image.NewGray(image.Rect(0, 0, 9, 9))))
		made := f.uploaded(t, "plan.png", file.String()+"<script>alert(document.domain)</script>")
		require.Equal(t, blob.PNG, made.Type)
		got := f.content(t, f.ann)
		require.EqualValues(t, made.Size, len(got))
		require.NotContains(t, got, "script")
		_, err := png.Decode(strings.NewReader(got))
		require.NoError(t, err)
		require.Equal(t, "media.broken", f.uploaded(t, "plan.png", file.String()[:40]).Code)
	})
}

func TestWhatIsUploadedIsChecked(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		f := withFiles(t, w, courses.File)
		try := func(by core.Actor, in courses.NewFile) error {
			if in.Body == nil {
				in.Body = strings.NewReader("text")
			}
			_, err := f.Upload(t.Context(), by, f.slug, f.lesson, in)
			return err
		}
		require.ErrorIs(t, try(f.nobody, courses.NewFile{Name: "a"}), courses.ErrCourseNotFound)
		require.ErrorIs(t, try(f.bob, courses.NewFile{Name: "a"}), courses.ErrCourseNotFound)
		require.NoError(t, try(f.pam, courses.NewFile{Name: "a"}))
		require.NoError(t, try(f.admin, courses.NewFile{Name: "a"}))
		for _, name := range []string{"", "a\nb", strings.Repeat("a", 201), "a\x00"} {
			require.ErrorIs(t, try(f.ann, courses.NewFile{Name: name}), core.ErrInvalid, name)
		}
		for _, in := range []courses.NewFile{
			{Name: "a", Body: strings.NewReader("")},
			{Name: "a", Body: strings.NewReader(strings.Repeat("a", 1001))},
			{Name: "a", Body: &unread{t}, Size: 1001},
		} {
			require.ErrorIs(t, try(f.ann, in), courses.ErrFileSize)
		}
		require.ErrorIs(t, try(f.ann, courses.NewFile{Name: "a", Body: io.MultiReader(strings.NewReader("half"), gone{})}), io.ErrUnexpectedEOF)
		require.Equal(t, map[courses.FileState]int{courses.FileProcessing: 2}, f.rows(t), "what came to nothing has left nothing")
		for n := 2; n < courses.MaxUploads; n++ {
			require.NoError(t, try(f.ann, courses.NewFile{Name: "a", Body: strings.NewReader(strings.Repeat("a", 1000))}))
		}
		require.ErrorIs(t, try(f.ann, courses.NewFile{Name: "a"}), courses.ErrTooMany)

		bare := courses.NewService(courses.Config{Store: f.backend.Courses, Users: f.backend.Accounts, Producers: f.producers, Links: f.links, Clock: f.clock})
		_, err := bare.Upload(t.Context(), f.ann, f.slug, f.lesson, courses.NewFile{Name: "a", Body: &unread{t}})
		require.ErrorIs(t, err, courses.ErrFilesNotSetUp)
		require.ErrorIs(t, err, core.ErrUnavailable)
	})
}

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u *unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// gone is a client that went away.
type gone struct{}

func (gone) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAFileIsGivenToThoseToWhomTheLessonIsOpen(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		f := withFiles(t, w, courses.File)
		ctx := t.Context()
		f.uploaded(t, "a.txt", "text")
		for _, by := range []core.Actor{f.nobody, f.sam, f.bob} {
			_, err := f.LinkFile(ctx, by, f.slug, f.lesson)
			require.ErrorIs(t, err, courses.ErrCourseNotFound)
		}
		_, err := f.Submit(ctx, f.ann, f.slug, 0)
		require.NoError(t, err)
		_, err = f.Publish(ctx, f.admin, f.slug, 0)
		require.NoError(t, err)
		for _, by := range []core.Actor{f.nobody, f.sam, f.bob} {
			_, err := f.LinkFile(ctx, by, f.slug, f.lesson)
			require.ErrorIs(t, err, courses.ErrLessonLocked)
			require.ErrorContains(t, err, courses.ReasonEnrollment)
			require.Equal(t, "a.txt", f.shown(t, by).Name, "that there is one is no secret")
		}
		for _, by := range []core.Actor{f.ann, f.pam, f.admin} {
			require.Equal(t, "text", f.content(t, by))
		}
		_, err = f.Enroll(ctx, f.sam, f.slug, "")
		require.NoError(t, err)
		require.Equal(t, "text", f.content(t, f.sam), "who takes the course")
		_, err = f.Cancel(ctx, f.sam, f.slug, "")
		require.NoError(t, err)
		_, err = f.LinkFile(ctx, f.sam, f.slug, f.lesson)
		require.ErrorIs(t, err, courses.ErrLessonLocked, "who has left it")
		preview := true
		_, err = f.EditLesson(ctx, f.ann, f.slug, f.lesson, courses.LessonEdit{FreePreview: &preview})
		require.NoError(t, err)
		require.Equal(t, "text", f.content(t, f.nobody))
		f.upload(t, "b.txt", "more")
		require.Equal(t, "a.txt", f.shown(t, f.nobody).Name)
		require.Equal(t, "b.txt", f.shown(t, f.ann).Name)
	})
}

func TestAPageOfLessonsCostsOneStatementMoreForFiles(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		f := withFiles(t, w, courses.Text)
		count := func() int {
			ctx, counter := storage.CountQueries(t.Context())
			_, err := f.Lessons(ctx, f.ann, f.slug, 0, core.Page{})
			require.NoError(t, err)
			return counter.Count()
		}
		texts := count()
		page, err := f.Lessons(t.Context(), f.ann, f.slug, 0, core.Page{})
		require.NoError(t, err)
		for i := range 3 {
			l, err := f.CreateLesson(t.Context(), f.ann, f.slug, page.Items[0].ModuleID, courses.NewLesson{Title: fmt.Sprint(i), Kind: courses.File})
			require.NoError(t, err)
			f.lesson = l.ID
			f.upload(t, "a", "a")
			require.Equal(t, texts+1, count())
		}
	})
}

// TestUploadsThatRace uploads and processes files of one lesson at once, each more than
// once: in the end the newest that was processed is the lesson's, and the only one.
func TestUploadsThatRace(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		f := withFiles(t, w, courses.File)
		random, rounds := random(t), 3
		if scale, _ := strconv.Atoi(os.Getenv("USTAT_TEST_SCALE")); scale > 0 {
			rounds *= 10 * scale
		}
		for range rounds {
			var made []courses.LessonFile
			for i := range 4 {
				made = append(made, f.upload(t, "a", fmt.Sprint("text ", i)))
			}
			var wg sync.WaitGroup
			for _, i := range append(random.Perm(4), random.Perm(4)...) {
				wg.Go(func() {
					if err := f.ProcessLessonFile(context.Background(), made[i].ID); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			require.Equal(t, 1, f.rows(t)[courses.FileReady])
			require.Equal(t, "text 3", f.content(t, f.ann))
			_, err := f.CleanFiles(t.Context(), f.clock.now.Add(courses.KeepReplaced+time.Hour), 100)
			require.NoError(t, err)
			require.Equal(t, map[courses.FileState]int{courses.FileReady: 1}, f.rows(t))
		}
	})
}
