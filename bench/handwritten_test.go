// Package bench holds Ustat's handlers beside hand-written ones: net/http,
// database/sql, encoding/json and SQL written for the very request, on the same
// schema, without authorization, parameters' checks or errors worth the name. They
// are the ceiling that the ratios are of.
package bench

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ustat/ustat/courses/fulltext"
)

// dialect is the SQL of an engine; %s stands for a list of parameters.
type dialect struct {
	param func(n int) string
	match string // with the first parameter
	query func(terms []string) string
}

var sqliteText = dialect{
	param: func(int) string { return "?" },
	match: "c.id IN (SELECT rowid FROM ustat_course_fts WHERE ustat_course_fts MATCH ?)",
	query: func(terms []string) string { return `"` + strings.Join(terms, `" AND "`) + `"` },
}

var postgresText = dialect{
	param: func(n int) string { return "$" + strconv.Itoa(n) },
	match: "c.fts @@ $1::tsquery",
	query: func(terms []string) string { return "'" + strings.Join(terms, "' & '") + "'" },
}

// params returns a list of the parameters from one to another.
func (d dialect) params(from, to int) string {
	var all []string
	for n := from; n <= to; n++ {
		all = append(all, d.param(n))
	}
	return strings.Join(all, ", ")
}

type name struct {
	Slug string `json:"slug"`
	Name string `json:"name"`
}

type teacher struct {
	Username string `json:"username"`
	Name     string `json:"name"`
}

type money struct {
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`
}

type course struct {
	id            int64
	Slug          string     `json:"slug"`
	Title         string     `json:"title"`
	Description   string     `json:"description"`
	Requirements  string     `json:"requirements"`
	Language      string     `json:"language"`
	Price         money      `json:"price"`
	Status        string     `json:"status"`
	Teacher       teacher    `json:"teacher"`
	Category      *name      `json:"category"`
	Tags          []name     `json:"tags"`
	AverageRating *float64   `json:"average_rating"`
	ReviewCount   int64      `json:"review_count"`
	StudentCount  int64      `json:"student_count"`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
	PublishedAt   *time.Time `json:"published_at"`
}

const selectCourse = `SELECT c.id, c.slug, c.title, c.description, c.requirements, c.language, c.price_minor, c.currency, c.status,
	u.username, u.full_name, k.slug, k.name, s.review_count, s.rating_sum, s.students, c.created_at, c.updated_at, c.published_at
	FROM ustat_courses c JOIN ustat_course_stats s ON s.course_id = c.id JOIN ustat_users u ON u.id = c.teacher_id
	LEFT JOIN ustat_categories k ON k.id = c.category_id WHERE `

type hand struct {
	db                                        *sql.DB
	d                                         dialect
	list, byRating, top, trending, one, found *sql.Stmt
}

// preparer returns what prepares statements of a pool.
func preparer(db *sql.DB) func(query string) *sql.Stmt {
	return func(query string) *sql.Stmt {
		statement, err := db.Prepare(query)
		if err != nil {
			panic(err)
		}
		return statement
	}
}

// handwritten returns the handlers, which read from db and write to writer.
func handwritten(db, writer *sql.DB, d dialect) http.Handler {
	prepare := preparer(db)
	h := &hand{db: db, d: d}
	h.list = prepare(selectCourse + "c.status = 'published' ORDER BY c.created_at DESC, c.id DESC LIMIT 21")
	h.byRating = prepare(selectCourse + "s.status = 'published' AND s.category_id = (SELECT id FROM ustat_categories WHERE slug = " + d.param(1) + ") ORDER BY s.rating_rank DESC, s.course_id DESC LIMIT 21")
	h.top = prepare(selectCourse + "s.status = 'published' ORDER BY s.rating_rank DESC, s.course_id DESC LIMIT 21")
	h.trending = prepare(selectCourse + "s.status = 'published' AND s.trend > 0 AND s.review_count >= 10 ORDER BY s.trend DESC, s.course_id DESC LIMIT 20")
	h.one = prepare(selectCourse + "c.slug = " + d.param(1))
	h.found = prepare(selectCourse + d.match + " AND c.status = 'published' ORDER BY s.rating_rank DESC, c.id DESC LIMIT 21")
	mux := http.NewServeMux()
	newHandReviews(db, writer, d).mount(mux)
	mux.HandleFunc("GET /api/v1/courses/{$}", func(w http.ResponseWriter, r *http.Request) {
		if category := r.URL.Query().Get("category"); category != "" {
			h.serveList(w, r, h.byRating, category)
			return
		}
		if r.URL.Query().Get("sort") == "rating" {
			h.serveList(w, r, h.top)
			return
		}
		h.serveList(w, r, h.list)
	})
	mux.HandleFunc("GET /api/v1/courses/trending/{$}", func(w http.ResponseWriter, r *http.Request) { h.serveList(w, r, h.trending) })
	mux.HandleFunc("GET /api/v1/courses/search/{$}", func(w http.ResponseWriter, r *http.Request) {
		h.serveList(w, r, h.found, d.query(fulltext.Query(r.URL.Query().Get("q"))))
	})
	mux.HandleFunc("GET /api/v1/courses/{slug}/{$}", func(w http.ResponseWriter, r *http.Request) {
		list, err := h.read(r, h.one, r.PathValue("slug"))
		if err != nil || len(list) == 0 {
			http.Error(w, "no course", http.StatusNotFound)
			return
		}
		write(w, list[0])
	})
	return mux
}

func (h *hand) serveList(w http.ResponseWriter, r *http.Request, statement *sql.Stmt, args ...any) {
	list, err := h.read(r, statement, args...)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	next := ""
	if len(list) > 20 {
		list = list[:20]
		next = strconv.FormatInt(list[19].id, 10)
	}
	write(w, map[string]any{"results": list, "next": next})
}

func write(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// read runs the statement of the page and the one of its tags.
func (h *hand) read(r *http.Request, statement *sql.Stmt, args ...any) ([]*course, error) {
	rows, err := statement.QueryContext(r.Context(), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []*course
	byID := map[int64]*course{}
	var in strings.Builder
	var ids []any
	for rows.Next() {
		c := &course{Tags: []name{}}
		var categorySlug, categoryName sql.NullString
		var ratingSum int64
		if err := rows.Scan(&c.id, &c.Slug, &c.Title, &c.Description, &c.Requirements, &c.Language, &c.Price.AmountMinor, &c.Price.Currency,
			&c.Status, &c.Teacher.Username, &c.Teacher.Name, &categorySlug, &categoryName, &c.ReviewCount, &ratingSum, &c.StudentCount,
			&c.CreatedAt, &c.UpdatedAt, &c.PublishedAt); err != nil {
			return nil, err
		}
		if categorySlug.Valid {
			c.Category = &name{categorySlug.String, categoryName.String}
		}
		if c.ReviewCount > 0 {
			average := float64(ratingSum) / float64(c.ReviewCount)
			c.AverageRating = &average
		}
		ids = append(ids, c.id)
		if len(ids) > 1 {
			in.WriteString(", ")
		}
		in.WriteString(h.d.param(len(ids)))
		byID[c.id] = c
		list = append(list, c)
	}
	if err := rows.Err(); err != nil || len(list) == 0 {
		return nil, err
	}
	tags, err := h.db.QueryContext(r.Context(), "SELECT ct.course_id, t.slug, t.name FROM ustat_course_tags ct JOIN ustat_tags t ON t.id = ct.tag_id WHERE ct.course_id IN ("+in.String()+") ORDER BY t.name", ids...)
	if err != nil {
		return nil, err
	}
	defer tags.Close()
	for tags.Next() {
		var id int64
		var tag name
		if err := tags.Scan(&id, &tag.Slug, &tag.Name); err != nil {
			return nil, err
		}
		byID[id].Tags = append(byID[id].Tags, tag)
	}
	return list, tags.Err()
}
