package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/accounts/password"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/httpapi"
	"github.com/ustat/ustat/ustattest"
)

// The school of BenchmarkLearning: each side has learners of its own, half of whom are
// enrolled in everything. Others have done half of every course before.
const (
	learnCallers = 16 // one learner each
	learnCourses = 400
	learnLessons = 10
	learnRounds  = 7
	learnAt      = "2026-01-02T03:04:05Z"
	learnWord    = "correct horse battery"
)

// learner is somebody who is named by a header, or has a token.
type learner struct {
	id    int64
	token string
}

// side is a handler with its learners.
type side struct {
	handler     http.Handler
	fresh, old  []learner          // with no enrollment, and with all
	enrollments []map[string]int64 // by slug, of old
}

// BenchmarkLearning prints, for enrolling in a free course, completing a lesson (each
// tenth of which completes the course) and the page of one's own courses, how many
// requests a second ours serves beside the hand-written handler, as BenchmarkHandlers
// does. In ratio both are told the learner by a header, as an embedder with logins of
// its own does; in token-ratio ours authenticates a token, which the other does not.
// Afterwards all have left the same rows.
func BenchmarkLearning(b *testing.B) {
	for _, e := range engines(b, school(b)) {
		named, err := httpapi.New(e.platform, &httpapi.Options{Actor: func(r *http.Request) (core.Actor, error) {
			return core.Actor{UserID: core.UserID(number(r.Header.Get("X-User"))), Role: core.Student}, nil
		}})
		require.NoError(b, err)
		sides := []*side{enter(b, e, "hand", handLearning(b, e)), enter(b, e, "named", named), enter(b, e, "token", e.ours)}
		lessons := lessonsOf(b, e)
		slug := func(caller, i int) string { return fmt.Sprintf("free-%d", (i+25*caller)%learnCourses) }
		enroll := func(s *side, caller, i int) *http.Request {
			return by(b.Context(), s.fresh[caller], http.MethodPost, "/api/v1/courses/"+slug(caller, i)+"/enroll/")
		}
		complete := func(s *side, caller, i int) *http.Request {
			course := slug(caller, i/learnLessons)
			return by(b.Context(), s.old[caller], http.MethodPost, fmt.Sprintf("/api/v1/enrollments/%d/lessons/%d/complete/", s.enrollments[caller][course], lessons[course][i%learnLessons]))
		}
		mine := func(s *side, caller, _ int) *http.Request {
			return by(b.Context(), s.old[caller], http.MethodGet, "/api/v1/enrollments/")
		}
		var enrolling, completing int
		b.Run(e.name+"/enroll", func(b *testing.B) {
			duel(b, sides, &enrolling, learnCourses, enroll)
		})
		b.Run(e.name+"/complete", func(b *testing.B) { duel(b, sides, &completing, learnCourses*learnLessons, complete) })
		b.Run(e.name+"/my-courses", func(b *testing.B) { duel(b, sides, new(int), b.N, mine) })
		requireSameEffects(b, e)
		require.NoError(b, ustattest.CheckInvariants(b.Context(), e.backend))
	}
}

// by returns a request whose context may end, as that of every request to a server.
func by(ctx context.Context, l learner, method, path string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, method, path, nil)
	r.Header.Set("Authorization", "Bearer "+l.token)
	r.Header.Set("X-User", strconv.FormatInt(l.id, 10))
	return r
}

// school writes the folder of a school.
func school(b *testing.B) string {
	hasher, err := password.New(password.Options{})
	require.NoError(b, err)
	hash, err := hasher.Hash(b.Context(), learnWord)
	require.NoError(b, err)
	var users, courses, modules, lessons, enrollments, progress strings.Builder
	users.WriteString("username,email,role,full_name,bio,password_hash\nteacher,teacher@example.org,teacher,Teacher,,\n")
	for _, group := range []string{"hand-fresh", "hand-old", "named-fresh", "named-old", "token-fresh", "token-old"} {
		for i := range learnCallers {
			fmt.Fprintf(&users, "%s-%d,%s-%d@example.org,student,,,%q\n", group, i, group, i, hash)
		}
	}
	courses.WriteString("slug,title,description,language,category,teacher,price,currency,status,tags,created_at\n")
	modules.WriteString("course,position,title\n")
	lessons.WriteString("course,module_position,position,title,kind,content,duration_seconds\n")
	enrollments.WriteString("course,user,price_paid,currency,enrolled_at\n")
	progress.WriteString("course,user,module_position,position,completed_at\n")
	for i := range learnCallers {
		fmt.Fprintf(&users, "other-%d,other-%d@example.org,student,,,\n", i, i)
	}
	for i := range learnCourses {
		fmt.Fprintf(&courses, "free-%d,Course %d,Words about it,en,all,teacher,0,USD,published,,%s\n", i, i, learnAt)
		fmt.Fprintf(&modules, "free-%d,1,One\n", i)
		for n := range learnLessons {
			fmt.Fprintf(&lessons, "free-%d,1,%d,Lesson,text,Words,60\n", i, n+1)
		}
		for caller := range learnCallers {
			fmt.Fprintf(&enrollments, "free-%d,other-%d,0,USD,%s\n", i, caller, learnAt)
			for n := range learnLessons / 2 {
				fmt.Fprintf(&progress, "free-%d,other-%d,1,%d,%s\n", i, caller, n+1, learnAt)
			}
			for _, name := range []string{"hand", "named", "token"} {
				fmt.Fprintf(&enrollments, "free-%d,%s-old-%d,0,USD,%s\n", i, name, caller, learnAt)
			}
		}
	}
	dir := b.TempDir()
	for name, text := range map[string]string{
		"categories.csv": "slug,name,parent\nall,All,\n", "users.csv": users.String(), "courses.csv": courses.String(), "modules.csv": modules.String(), "lessons.csv": lessons.String(), "enrollments.csv": enrollments.String(), "progress.csv": progress.String(),
	} {
		require.NoError(b, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

// enter signs the learners of a side in.
func enter(b *testing.B, e engine, name string, handler http.Handler) *side {
	group := func(kind string) []learner {
		all := make([]learner, learnCallers)
		for i := range all {
			u, err := e.backend.Accounts.UserByUsername(b.Context(), fmt.Sprintf("%s-%s-%d", name, kind, i))
			require.NoError(b, err)
			all[i].id = int64(u.ID)
			if name == "token" {
				tokens, err := e.platform.Accounts.Login(b.Context(), accounts.Credentials{Login: u.Username, Password: learnWord}, accounts.Client{Network: u.Username})
				require.NoError(b, err)
				all[i].token = string(tokens.Access)
			}
		}
		return all
	}
	s := &side{handler: handler, fresh: group("fresh"), old: group("old")}
	for _, l := range s.old {
		ids := map[string]int64{}
		scanRows(b, e.db, "SELECT c.slug, e.id FROM ustat_enrollments e JOIN ustat_courses c ON c.id = e.course_id WHERE e.user_id = "+strconv.FormatInt(l.id, 10),
			func(rows *sql.Rows) error {
				var slug string
				var id int64
				err := rows.Scan(&slug, &id)
				ids[slug] = id
				return err
			})
		require.Len(b, ids, learnCourses)
		s.enrollments = append(s.enrollments, ids)
	}
	return s
}

func lessonsOf(b *testing.B, e engine) map[string][]int64 {
	all := map[string][]int64{}
	scanRows(b, e.db, "SELECT c.slug, l.id FROM ustat_lessons l JOIN ustat_courses c ON c.id = l.course_id ORDER BY l.id", func(rows *sql.Rows) error {
		var slug string
		var id int64
		err := rows.Scan(&slug, &id)
		all[slug] = append(all[slug], id)
		return err
	})
	require.Len(b, all, learnCourses)
	return all
}

func scanRows(b *testing.B, db *sql.DB, query string, scan func(*sql.Rows) error) {
	b.Helper()
	rows, err := db.QueryContext(b.Context(), query)
	require.NoError(b, err)
	defer rows.Close()
	for rows.Next() {
		require.NoError(b, scan(rows))
	}
	require.NoError(b, rows.Err())
}

// duel lets the sides serve rounds of equal length in turns, each request once, and
// reports the ratios to the first one. Done counts the requests that each caller has
// made, of which there are at most most.
func duel(b *testing.B, sides []*side, done *int, most int, request func(s *side, caller, i int) *http.Request) {
	each := max(1, min(b.N/learnRounds/learnCallers, (most-*done)/learnRounds))
	shapes, rates := make([][]string, len(sides)), make([][]float64, len(sides))
	for range learnRounds {
		for which, s := range sides {
			start := time.Now()
			last := s.serve(each, func(caller, i int) *http.Request { return request(s, caller, *done+i) })
			rates[which] = append(rates[which], float64(each*learnCallers)/time.Since(start).Seconds())
			for _, w := range last {
				require.Less(b, w.Code, 300, "%d: %s", which, w.Body)
			}
			shapes[which] = shape(b, last[0].Body.Bytes())
			require.Equal(b, shapes[0], shapes[which], "the answers have the same members")
		}
		*done += each
	}
	hand := median(rates[0])
	b.ReportMetric(median(rates[1])/hand, "ratio")
	b.ReportMetric(median(rates[2])/hand, "token-ratio")
	b.ReportMetric(median(rates[1]), "ours/s")
	b.ReportMetric(hand, "hand/s")
	b.ReportMetric(0, "ns/op")
}

// serve makes n requests by each caller and returns the last answers.
func (s *side) serve(n int, request func(caller, i int) *http.Request) []*httptest.ResponseRecorder {
	last := make([]*httptest.ResponseRecorder, learnCallers)
	var wait sync.WaitGroup
	for caller := range last {
		wait.Go(func() {
			for i := range n {
				last[caller] = httptest.NewRecorder()
				if s.handler.ServeHTTP(last[caller], request(caller, i)); last[caller].Code >= 300 {
					return
				}
			}
		})
	}
	wait.Wait()
	return last
}

// shape lists the members of a JSON object, or of the first one of a page.
func shape(b *testing.B, body []byte) []string {
	var object map[string]any
	require.NoError(b, json.Unmarshal(body, &object), "%s", body)
	if page, ok := object["results"].([]any); ok {
		require.Len(b, page, 20)
		object = page[0].(map[string]any)
	}
	var members []string
	for name, value := range object {
		if name != "id" && name != "user" && !strings.HasSuffix(name, "_at") {
			members = append(members, fmt.Sprint(name, "=", value))
		} else {
			members = append(members, fmt.Sprint(name, value == nil))
		}
	}
	slices.Sort(members)
	return members
}

// requireSameEffects compares what the learners of both sides have left.
func requireSameEffects(b *testing.B, e engine) {
	left := func(who string) (out []string) {
		for _, query := range []string{
			"SELECT e.status || '/' || e.source, count(*), count(e.started_at), count(e.completed_at), max(e.version) FROM ustat_enrollments e JOIN ustat_users u ON u.id = e.user_id WHERE u.username LIKE '" + who + "-%' GROUP BY e.status, e.source ORDER BY 1",
			"SELECT 'progress', count(*), 0, 0, 0 FROM ustat_progress p JOIN ustat_enrollments e ON e.id = p.enrollment_id JOIN ustat_users u ON u.id = e.user_id WHERE u.username LIKE '" + who + "-%'",
			"SELECT o.type, count(*), min(o.version), max(o.version), 0 FROM ustat_outbox o JOIN ustat_users u ON u.id = o.actor_id WHERE u.username LIKE '" + who + "-%' GROUP BY o.type ORDER BY 1",
		} {
			scanRows(b, e.db, query, func(rows *sql.Rows) error {
				var name string
				var v [4]any
				err := rows.Scan(&name, &v[0], &v[1], &v[2], &v[3])
				out = append(out, fmt.Sprint(name, v))
				return err
			})
		}
		return out
	}
	require.Equal(b, left("hand"), left("named"))
	require.Equal(b, left("hand"), left("token"))
	b.Logf("%s: %v each", e.name, left("hand"))
}
