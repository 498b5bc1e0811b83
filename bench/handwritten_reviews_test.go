package bench

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/courses"
)

// review is what the API answers with.
type review struct {
	ID           string    `json:"id"`
	Course       string    `json:"course"`
	User         string    `json:"user"`
	Name         string    `json:"name"`
	Rating       int       `json:"rating"`
	Text         string    `json:"text"`
	Status       string    `json:"status"`
	HelpfulCount int       `json:"helpful_count"`
	Helpful      bool      `json:"helpful"`
	CommentCount int       `json:"comment_count"`
	Reply        *struct{} `json:"reply"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// handReviews are the statements of reviews.
type handReviews struct {
	writer                       *sql.DB
	page, course, user, enrolled *sql.Stmt // of the reading pool
	count                        [5]*sql.Stmt
	insert, ranked, events       *sql.Stmt
}

func newHandReviews(reader, writer *sql.DB, d dialect) *handReviews {
	read, change := preparer(reader), preparer(writer)
	h := &handReviews{
		writer: writer,
		page: read("SELECT r.id, r.rating, r.text, r.status, r.helpful, r.comments, r.created_at, r.updated_at, u.username, u.full_name" +
			" FROM ustat_reviews r JOIN ustat_users u ON u.id = r.user_id WHERE r.course_id = (SELECT id FROM ustat_courses WHERE slug = " + d.param(1) + ")" +
			" AND r.status = 'published' ORDER BY r.created_at DESC, r.id DESC LIMIT 21"),
		course:   read("SELECT id FROM ustat_courses WHERE slug = " + d.param(1)),
		user:     read("SELECT username, full_name FROM ustat_users WHERE id = " + d.param(1)),
		enrolled: read("SELECT status FROM ustat_enrollments WHERE course_id = " + d.param(1) + " AND user_id = " + d.param(2)),
		insert: change("INSERT INTO ustat_reviews (course_id, user_id, rating, text, status, reason, trust, reply_text, reply_by, created_at, updated_at) VALUES (" +
			d.params(1, 4) + ", 'published', '', 0, '', 0, " + d.params(5, 6) + ") RETURNING id"),
		ranked: change("UPDATE ustat_course_stats SET review_count = " + d.param(1) + ", rating_sum = " + d.param(2) + ", rating_rank = " + d.param(3) +
			", rating_version = " + d.param(4) + " WHERE course_id = " + d.param(5)),
		events: change("INSERT INTO ustat_outbox (id, store, type, version, subject, actor_id, at, payload) VALUES (" + d.params(1, 8) + "), (" + d.params(9, 16) + ")"),
	}
	for i, star := range []string{"ones", "twos", "threes", "fours", "fives"} {
		h.count[i] = change(fmt.Sprintf("UPDATE ustat_review_stats SET review_count = review_count + 1, rating_sum = rating_sum + %d, version = version + 1, %[2]s = %[2]s + 1"+
			" WHERE course_id = %[3]s RETURNING review_count, rating_sum, version", i+1, star, d.param(1)))
	}
	return h
}

// mount adds the handlers. Of those that add a review, /add/ does no more than to keep
// the review and the numbers; /record/ also looks whether its author is enrolled, and
// leaves the events that ours leaves.
func (h *handReviews) mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/courses/{slug}/reviews/{$}", func(w http.ResponseWriter, r *http.Request) {
		list, err := h.read(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		next := ""
		if len(list) > 20 {
			list = list[:20]
			next = list[19].ID
		}
		write(w, map[string]any{"results": list, "next": next})
	})
	for path, record := range map[string]bool{"add": false, "record": true} {
		mux.HandleFunc("POST /api/v1/courses/{slug}/reviews/"+path+"/{$}", func(w http.ResponseWriter, r *http.Request) {
			made, err := h.add(r, record)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			_ = json.NewEncoder(w).Encode(made)
		})
	}
}

func (h *handReviews) read(r *http.Request) ([]review, error) {
	rows, err := h.page.QueryContext(r.Context(), r.PathValue("slug"))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []review
	for rows.Next() {
		one := review{Course: r.PathValue("slug")}
		var id int64
		if err := rows.Scan(&id, &one.Rating, &one.Text, &one.Status, &one.HelpfulCount, &one.CommentCount, &one.CreatedAt, &one.UpdatedAt, &one.User, &one.Name); err != nil {
			return nil, err
		}
		one.ID = strconv.FormatInt(id, 10)
		list = append(list, one)
	}
	return list, rows.Err()
}

// add keeps a review of the user whom a header names.
func (h *handReviews) add(r *http.Request, record bool) (review, error) {
	ctx := r.Context()
	now := time.Now().UTC().Truncate(time.Microsecond)
	made := review{Course: r.PathValue("slug"), Status: "published", CreatedAt: now, UpdatedAt: now}
	user, err := strconv.ParseInt(r.Header.Get(userHeader), 10, 64)
	if err != nil {
		return made, err
	}
	if err := json.NewDecoder(r.Body).Decode(&made); err != nil {
		return made, err
	}
	var course int64
	if err := h.course.QueryRowContext(ctx, made.Course).Scan(&course); err != nil {
		return made, err
	}
	if err := h.user.QueryRowContext(ctx, user).Scan(&made.User, &made.Name); err != nil {
		return made, err
	}
	if record {
		var status string
		if err := h.enrolled.QueryRowContext(ctx, course, user).Scan(&status); err != nil {
			return made, err
		}
	}
	tx, err := h.writer.BeginTx(ctx, nil)
	if err != nil {
		return made, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing is left to undo after Commit
	var s courses.Stats
	var version, id int64
	if err := tx.StmtContext(ctx, h.count[made.Rating-1]).QueryRowContext(ctx, course).Scan(&s.ReviewCount, &s.RatingSum, &version); err != nil {
		return made, err
	}
	if err := tx.StmtContext(ctx, h.insert).QueryRowContext(ctx, course, user, made.Rating, made.Text, now, now).Scan(&id); err != nil {
		return made, err
	}
	made.ID = strconv.FormatInt(id, 10)
	if _, err := tx.StmtContext(ctx, h.ranked).ExecContext(ctx, s.ReviewCount, s.RatingSum, s.RatingRank(), version, course); err != nil {
		return made, err
	}
	if record {
		about, err := json.Marshal(map[string]int64{"review": id, "course": course, "user": user, "rating": int64(made.Rating), "version": version})
		if err != nil {
			return made, err
		}
		if _, err := tx.StmtContext(ctx, h.events).ExecContext(ctx,
			uuid.Must(uuid.NewV7()).String(), "hand", "reviews.created", 1, "review/"+made.ID, user, now, string(about),
			uuid.Must(uuid.NewV7()).String(), "hand", "reviews.rated", 1, "course/"+strconv.FormatInt(course, 10), user, now, string(about)); err != nil {
			return made, err
		}
	}
	return made, tx.Commit()
}
