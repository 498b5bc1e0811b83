package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

type enrolled struct {
	id, course, teacher int64
	Number              string     `json:"id"`
	Course              string     `json:"course"`
	CourseTitle         string     `json:"course_title"`
	User                string     `json:"user"`
	Status              string     `json:"status"`
	Source              string     `json:"source"`
	PricePaid           money      `json:"price_paid"`
	ProgressPercent     int        `json:"progress_percent"`
	Lessons             int        `json:"lessons"`
	CompletedLessons    int        `json:"completed_lessons"`
	Resume              *struct{}  `json:"resume"`
	EnrolledAt          time.Time  `json:"enrolled_at"`
	StartedAt           *time.Time `json:"started_at"`
	CompletedAt         *time.Time `json:"completed_at"`
	EndedAt             *time.Time `json:"ended_at"`
}

// changed is the payload of the events of learning.
type changed struct {
	Enrollment int64     `json:"enrollment"`
	Course     int64     `json:"course"`
	Slug       string    `json:"slug"`
	Teacher    int64     `json:"teacher"`
	User       int64     `json:"user"`
	Status     string    `json:"status"`
	Source     string    `json:"source"`
	Price      money     `json:"price"`
	Lesson     int64     `json:"lesson,omitempty"`
	At         time.Time `json:"at"`
}

// handLearner serves a learner: what a course needs of them is read by one statement
// that locks it, and each row is written by one more.
type handLearner struct {
	writer                                              *sql.DB
	open, enroll, count, emit, visit, done, write, mine *sql.Stmt
}

// handLearning returns the handlers; X-User names the learner. On SQLite it writes
// through a connection of its own, opened as ours is.
func handLearning(b *testing.B, e engine) http.Handler {
	writer, locked := e.db, " FOR UPDATE OF "
	if e.path != "" {
		var err error
		writer, err = sql.Open("sqlite", "file:"+e.path+"?_txlock=immediate&_time_format=sqlite&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=cache_size(-4000)")
		require.NoError(b, err)
		writer.SetMaxOpenConns(1)
		b.Cleanup(func() { require.NoError(b, writer.Close()) })
		locked = ""
	}
	lock := func(table string) string {
		if locked == "" {
			return ""
		}
		return locked + table
	}
	prepare := func(db *sql.DB, query string, params ...any) *sql.Stmt {
		for i := range params {
			params[i] = e.dialect.param(i + 1)
		}
		statement, err := db.PrepareContext(b.Context(), fmt.Sprintf(query, params...))
		require.NoError(b, err, query)
		return statement
	}
	p := func(n int) []any { return make([]any, n) }
	const (
		lessons  = "(SELECT count(*) FROM ustat_lessons l WHERE l.course_id = e.course_id)"
		finished = "(SELECT count(*) FROM ustat_progress p JOIN ustat_lessons l ON l.id = p.lesson_id AND l.course_id = e.course_id WHERE p.enrollment_id = e.id)"
		columns  = "SELECT e.id, e.course_id, c.teacher_id, c.slug, c.title, u.username, e.status, e.source, e.paid_minor, e.paid_currency, " + lessons + ", " + finished + ", e.enrolled_at, e.started_at, e.completed_at" +
			" FROM ustat_enrollments e JOIN ustat_courses c ON c.id = e.course_id JOIN ustat_users u ON u.id = e.user_id "
	)
	h := &handLearner{
		writer: writer,
		open: prepare(writer, "SELECT c.id, c.teacher_id, c.slug, c.title, c.currency, u.username, (SELECT count(*) FROM ustat_lessons l WHERE l.course_id = c.id), s.students, c.capacity"+
			" FROM ustat_courses c JOIN ustat_course_stats s ON s.course_id = c.id JOIN ustat_users u ON u.id = %s WHERE c.slug = %s AND c.status = 'published' AND c.price_minor = 0"+lock("c"), p(2)...),
		enroll: prepare(writer, "INSERT INTO ustat_enrollments (course_id, user_id, status, source, paid_minor, paid_currency, enrolled_at) VALUES (%s, %s, 'active', 'free', 0, %s, %s)"+
			" ON CONFLICT DO NOTHING RETURNING id", p(4)...),
		count: prepare(writer, "UPDATE ustat_course_stats SET students = students + %s, completions = completions + %s WHERE course_id = %s", p(3)...),
		emit:  prepare(writer, "INSERT INTO ustat_outbox (id, store, type, version, subject, actor_id, at, payload) VALUES (%s, 'courses', %s, 1, %s, %s, %s, %s)", p(6)...),
		visit: prepare(writer, columns+"WHERE e.id = %s AND e.user_id = %s AND e.status IN ('active', 'completed') AND c.status IN ('published', 'archived')"+
			" AND EXISTS (SELECT 1 FROM ustat_lessons l WHERE l.id = %s AND l.course_id = e.course_id)"+lock("e"), p(3)...),
		done:  prepare(writer, "INSERT INTO ustat_progress (enrollment_id, lesson_id, completed_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", p(3)...),
		write: prepare(writer, "UPDATE ustat_enrollments SET status = %s, started_at = %s, completed_at = %s, version = version + 1 WHERE id = %s", p(4)...),
		mine:  prepare(e.db, columns+"WHERE e.user_id = %s ORDER BY e.enrolled_at DESC, e.id DESC LIMIT 21", p(1)...),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/courses/{slug}/enroll/{$}", h.serveEnroll)
	mux.HandleFunc("POST /api/v1/enrollments/{id}/lessons/{lesson}/complete/{$}", h.serveComplete)
	mux.HandleFunc("GET /api/v1/enrollments/{$}", h.serveMine)
	return mux
}

func (h *handLearner) serveEnroll(w http.ResponseWriter, r *http.Request) {
	user, e := number(r.Header.Get("X-User")), &enrolled{Status: "active", Source: "free", EnrolledAt: time.Now().UTC().Truncate(time.Microsecond)}
	err := h.update(r.Context(), func(ctx context.Context, tx *sql.Tx) error {
		var students, capacity int
		err := tx.StmtContext(ctx, h.open).QueryRowContext(ctx, user, r.PathValue("slug")).
			Scan(&e.course, &e.teacher, &e.Course, &e.CourseTitle, &e.PricePaid.Currency, &e.User, &e.Lessons, &students, &capacity)
		if err != nil {
			return err
		}
		if capacity > 0 && students >= capacity {
			return errors.New("full")
		}
		if err := tx.StmtContext(ctx, h.enroll).QueryRowContext(ctx, e.course, user, e.PricePaid.Currency, e.EnrolledAt).Scan(&e.id); err != nil {
			return err
		}
		if _, err := tx.StmtContext(ctx, h.count).ExecContext(ctx, 1, 0, e.course); err != nil {
			return err
		}
		return h.tell(ctx, tx, "courses.enrolled", user, e, 0, e.EnrolledAt)
	})
	respond(w, e.show(), err)
}

func (h *handLearner) serveComplete(w http.ResponseWriter, r *http.Request) {
	user, lesson, now := number(r.Header.Get("X-User")), number(r.PathValue("lesson")), time.Now().UTC().Truncate(time.Microsecond)
	e := &enrolled{}
	err := h.update(r.Context(), func(ctx context.Context, tx *sql.Tx) error {
		if err := e.scan(tx.StmtContext(ctx, h.visit).QueryRowContext(ctx, number(r.PathValue("id")), user, lesson)); err != nil {
			return err
		}
		res, err := tx.StmtContext(ctx, h.done).ExecContext(ctx, e.id, lesson, now)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		e.CompletedLessons++
		if err := h.tell(ctx, tx, "courses.lesson_completed", user, e, lesson, now); err != nil {
			return err
		}
		completes := e.Status == "active" && e.CompletedLessons >= e.Lessons
		if !completes && e.StartedAt != nil {
			return nil
		}
		if e.StartedAt == nil {
			e.StartedAt = &now
		}
		if completes {
			e.Status, e.CompletedAt = "completed", &now
		}
		if _, err := tx.StmtContext(ctx, h.write).ExecContext(ctx, e.Status, e.StartedAt, e.CompletedAt, e.id); err != nil || !completes {
			return err
		}
		if _, err := tx.StmtContext(ctx, h.count).ExecContext(ctx, 0, 1, e.course); err != nil {
			return err
		}
		return h.tell(ctx, tx, "courses.completed", user, e, 0, now)
	})
	respond(w, e.show(), err)
}

func (h *handLearner) serveMine(w http.ResponseWriter, r *http.Request) {
	rows, err := h.mine.QueryContext(r.Context(), number(r.Header.Get("X-User")))
	if err != nil {
		respond(w, nil, err)
		return
	}
	defer rows.Close()
	list := make([]*enrolled, 0, 21)
	for rows.Next() {
		e := &enrolled{}
		if err := e.scan(rows); err != nil {
			respond(w, nil, err)
			return
		}
		list = append(list, e.show())
	}
	next := ""
	if len(list) > 20 {
		list = list[:20]
		next = list[19].Number
	}
	respond(w, map[string]any{"results": list, "next": next}, rows.Err())
}

func (h *handLearner) update(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	tx, err := h.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(ctx, tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// tell adds an event to the outbox.
func (h *handLearner) tell(ctx context.Context, tx *sql.Tx, event string, user int64, e *enrolled, lesson int64, at time.Time) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	payload, err := json.Marshal(changed{e.id, e.course, e.Course, e.teacher, user, e.Status, e.Source, e.PricePaid, lesson, at})
	if err != nil {
		return err
	}
	_, err = tx.StmtContext(ctx, h.emit).ExecContext(ctx, id.String(), event, "enrollment/"+strconv.FormatInt(e.id, 10), user, at, string(payload))
	return err
}

func (e *enrolled) scan(row interface{ Scan(...any) error }) error {
	return row.Scan(&e.id, &e.course, &e.teacher, &e.Course, &e.CourseTitle, &e.User, &e.Status, &e.Source, &e.PricePaid.AmountMinor, &e.PricePaid.Currency,
		&e.Lessons, &e.CompletedLessons, &e.EnrolledAt, &e.StartedAt, &e.CompletedAt)
}

// show fills what is made of other fields.
func (e *enrolled) show() *enrolled {
	e.Number = strconv.FormatInt(e.id, 10)
	if e.Lessons > 0 {
		e.ProgressPercent = min(100, e.CompletedLessons*100/e.Lessons)
	}
	return e
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

func respond(w http.ResponseWriter, body any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, body)
}
