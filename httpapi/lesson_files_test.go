package httpapi_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/httpapi"
)

// lastFile returns the newest file of a course's first lesson.
func (w *world) lastFile(s subject) courses.LessonFile {
	id, err := strconv.ParseInt(s.lessons[0], 10, 64)
	require.NoError(w.t, err)
	list, err := w.b.Courses.LessonFiles(w.t.Context(), []courses.LessonID{courses.LessonID(id)})
	require.NoError(w.t, err)
	require.NotEmpty(w.t, list)
	return list[0]
}

func TestAFileIsUploadedLookedAtAndFetched(t *testing.T) {
	t.Parallel()
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open)
			s := w.course(courses.Published)
			path := "/courses/" + s.slug + w.withFile(s, false)
			refused(t, w.ask("owner", http.MethodGet, path, nil), http.StatusNotFound, "courses.file_not_found")

			answer := w.ask("owner", http.MethodPut, path+"?name=Notes+1.txt", "0123456789")
			require.Equal(t, http.StatusAccepted, answer.Code, answer.Body)
			require.JSONEq(t, `{"name": "Notes 1.txt", "type": null, "size": 10, "state": "processing", "error": null}`, answer.Body.String())
			lesson := "/courses/" + s.slug + "/lessons/" + s.lessons[0] + "/"
			before := w.ask("owner", http.MethodGet, lesson, nil)
			require.Equal(t, "processing", at(t, decode(t, before.Body), "file")["state"])
			require.Nil(t, decode(t, w.ask("anonymous", http.MethodGet, lesson, nil).Body)["file"])

			require.NoError(t, w.p.Courses.ProcessLessonFile(t.Context(), w.lastFile(s).ID))
			after := w.ask("owner", http.MethodGet, lesson, nil, "If-None-Match", before.Header().Get("ETag"))
			require.Equal(t, http.StatusOK, after.Code, "the lesson is shown otherwise")
			require.Equal(t, map[string]any(at(t, decode(t, after.Body), "file"))["state"], "ready")
			refused(t, w.ask("student", http.MethodGet, path, nil), http.StatusConflict, "courses.lesson_locked")

			link := decode(t, w.ask("owner", http.MethodGet, path, nil).Body)
			require.Equal(t, "text/plain; charset=utf-8", link["type"])
			require.Equal(t, "Notes 1.txt", link["name"])
			url := strings.TrimPrefix(link["url"].(string), httpapi.Prefix)
			whole := w.ask("anonymous", http.MethodGet, url, nil)
			require.Equal(t, "0123456789", whole.Body.String())
			for name, want := range map[string]string{
				"Content-Type": "text/plain; charset=utf-8", "Content-Disposition": "attachment; filename=notes-1.txt", "X-Content-Type-Options": "nosniff",
				"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox", "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache",
			} {
				require.Equal(t, want, whole.Header().Get(name))
			}
			tag := whole.Header().Get("ETag")
			for _, c := range []struct {
				status  int
				body    string
				headers []string
			}{
				{http.StatusPartialContent, "345", []string{"Range", "bytes=3-5"}},
				{http.StatusPartialContent, "789", []string{"Range", "bytes=-3"}},
				{http.StatusPartialContent, "345", []string{"Range", "bytes=3-5", "If-Range", tag}},
				{http.StatusOK, "0123456789", []string{"Range", "bytes=3-5", "If-Range", `"another"`}},
				{http.StatusNotModified, "", []string{"If-None-Match", tag}},
				{http.StatusRequestedRangeNotSatisfiable, "", []string{"Range", "bytes=11-"}},
			} {
				got := w.ask("anonymous", http.MethodGet, url, nil, c.headers...)
				require.Equal(t, c.status, got.Code, c.headers)
				if c.body != "" {
					require.Equal(t, c.body, got.Body.String())
				}
				require.Contains(t, got.Header().Get("Content-Security-Policy"), "sandbox", "also on ranges and 304")
				require.Equal(t, "nosniff", got.Header().Get("X-Content-Type-Options"))
			}

			require.Equal(t, http.StatusNoContent, w.ask("owner", http.MethodDelete, path, nil).Code)
			refused(t, w.ask("owner", http.MethodGet, path, nil), http.StatusNotFound, "courses.file_not_found")
			refused(t, w.ask("owner", http.MethodDelete, path, nil), http.StatusNotFound, "courses.file_not_found")
		})
	}
}

func TestAnUploadIsBoundedAndChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, engines()["sqlite"])
	s := w.course(courses.Published)
	path := "/courses/" + s.slug + w.withFile(s, false)
	refused(t, w.ask("owner", http.MethodPut, path+"?name=a", ""), http.StatusUnprocessableEntity, "courses.file_size")
	refused(t, w.ask("owner", http.MethodPut, path, "text"), http.StatusUnprocessableEntity, "invalid")
	refused(t, w.ask("owner", http.MethodPut, path+"?name=a", "text", "If-Match", `"1"`), http.StatusPreconditionFailed, "core.version_mismatch")
	refused(t, w.ask("owner", http.MethodPut, "/courses/"+s.slug+"/lessons/"+s.lessons[1]+"/file/?name=a", "text"), http.StatusConflict, "courses.lesson_kind")
	for _, id := range []string{"0", "x", "999999"} {
		refused(t, w.ask("owner", http.MethodPut, "/courses/"+s.slug+"/lessons/"+id+"/file/?name=a", "text"), http.StatusNotFound, "courses.lesson_not_found")
	}
	r := httptest.NewRequest(http.MethodPut, httpapi.Prefix+path+"?name=a", strings.NewReader("not as long as is said"))
	r.ContentLength = courses.DefaultMaxFile + 1
	r.Header.Set("Authorization", "Bearer "+w.tokens["owner"])
	answer := httptest.NewRecorder()
	w.h.ServeHTTP(answer, r)
	refused(t, answer, http.StatusRequestEntityTooLarge, "courses.file_size")
}

// TestALargeUploadTakesItsTimeAndNoMemory sends a file over a real connection, for
// longer than a request and the server's deadlines may take otherwise.
func TestALargeUploadTakesItsTimeAndNoMemory(t *testing.T) { // alone, since it measures the memory of the process
	w := newWorld(t, engines()["sqlite"])
	s := w.course(courses.Published)
	path := httpapi.Prefix + "/courses/" + s.slug + w.withFile(s, false) + "?name=large.txt"
	h, err := httpapi.New(w.p, &httpapi.Options{Timeout: 300 * time.Millisecond})
	require.NoError(t, err)
	server := httpapi.Server("", h)
	server.ReadTimeout, server.WriteTimeout = 300*time.Millisecond, 400*time.Millisecond
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	defer server.Close()

	const size = 64 << 20
	put := func(body io.Reader, as string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+listener.Addr().String()+path, body)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+w.tokens[as])
		return http.DefaultClient.Do(r)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	answer, err := put(&slow{left: size, pause: 700 * time.Millisecond}, "owner")
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusAccepted, answer.StatusCode, string(body))
	require.EqualValues(t, size, w.lastFile(s).Size)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(size/2), "the body is not in memory")

	// A client that goes away in the middle leaves nothing behind.
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+listener.Addr().String()+path, io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), stop{cancel}))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+w.tokens["owner"])
	_, err = http.DefaultClient.Do(r) //nolint:bodyclose // there is no answer
	require.Error(t, err)
	require.Eventually(t, func() bool {
		var n int
		require.NoError(t, w.db.QueryRowContext(t.Context(), "SELECT count(*) FROM ustat_lesson_files").Scan(&n))
		return n == 1
	}, 5*time.Second, 20*time.Millisecond)
	require.Equal(t, blob.Raw, w.lastFile(s).Raw.Type())
}

// slow is a text that stops for a while in the middle.
type slow struct {
	left  int
	pause time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), s.left)
	for i := range p[:n] {
		p[i] = 'a'
	}
	if s.left -= n; s.pause > 0 && s.left < 32<<20 {
		time.Sleep(s.pause)
		s.pause = 0
	}
	return n, nil
}

// stop is where a client goes away.
type stop struct{ cancel context.CancelFunc }

func (s stop) Read([]byte) (int, error) {
	time.Sleep(100 * time.Millisecond)
	s.cancel()
	return 0, io.ErrUnexpectedEOF
}
