package sqlstore

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/ustat/ustat/courses"
)

// order is how a sort is read from an index: the table whose index leads, the
// columns of the order, and which way they go.
type order struct {
	lead string // "c" courses, "s" statistics
	keys []string
	down bool
	key  func(r *courseRow) []int64
}

var orders = map[courses.Sort]order{
	courses.Newest:       {"c", []string{"created_at"}, true, func(r *courseRow) []int64 { return []int64{r.CreatedAt.UnixMicro()} }},
	courses.PriceUp:      {"c", []string{"price_minor"}, false, func(r *courseRow) []int64 { return []int64{r.PriceMinor} }},
	courses.PriceDown:    {"c", []string{"price_minor"}, true, func(r *courseRow) []int64 { return []int64{r.PriceMinor} }},
	courses.Rating:       {"s", []string{"rating_rank"}, true, func(r *courseRow) []int64 { return []int64{r.RatingRank} }},
	courses.Popular:      {"s", []string{"students"}, true, func(r *courseRow) []int64 { return []int64{r.Students} }},
	courses.Trending:     {"s", []string{"trend"}, true, func(*courseRow) []int64 { return nil }},
	courses.MostReviewed: {"s", []string{"review_count", "rating_sum"}, true, func(*courseRow) []int64 { return nil }},
	courses.Relevance:    {"c", nil, true, func(r *courseRow) []int64 { return []int64{r.Field, r.RatingRank, r.TitleWords} }},
}

// statusText maps a status to its constant in SQL; an unknown one has no course.
var statusText = map[courses.Status]string{
	courses.Draft: "'draft'", courses.InReview: "'review'", courses.Published: "'published'", courses.Archived: "'archived'",
}

// statement collects the parts of a SELECT. Text is constant; values are args.
type statement struct {
	where []string
	args  []any
}

func (s *statement) and(condition string, args ...any) {
	s.where = append(s.where, condition)
	s.args = append(s.args, args...)
}

// ListCourses implements courses.CourseReader.
func (r coursesReader) ListCourses(ctx context.Context, q courses.ListQuery) ([]courses.Hit, error) {
	by, ok := orders[q.Sort]
	if !ok {
		by, q.Sort = orders[courses.Newest], courses.Newest
	}
	query, args := r.pageQuery(q, by)
	rows, err := readAll(ctx, r.session, query, args, scanCourse)
	if err != nil {
		return nil, err
	}
	return hits(ctx, r, rows, func(row *courseRow) (*courseRow, []int64) { return row, by.key(row) })
}

// hits returns rows as the courses of a list, with their tags by one statement; of
// returns the course of a row and its keys in the list.
func hits[T any](ctx context.Context, r coursesReader, rows []T, of func(*T) (*courseRow, []int64)) ([]courses.Hit, error) {
	found, list := make([]courses.Course, len(rows)), make([]courses.Hit, len(rows))
	for i := range rows {
		row, keys := of(&rows[i])
		found[i] = row.course()
		list[i].Position = courses.Position{Keys: keys, ID: int64(row.ID)}
	}
	if err := r.fillTags(ctx, found); err != nil {
		return nil, err
	}
	for i := range found {
		list[i].Course = found[i]
	}
	return list, nil
}

// pageQuery returns the SELECT of a page.
func (r coursesReader) pageQuery(q courses.ListQuery, by order) (string, []any) {
	s, from := r.filter(q, by)
	// The limit stands in the text where the planner looks at it, and only there:
	// elsewhere it would make a text of every limit.
	limit, limitArgs := " LIMIT ?", []any{q.Limit}
	if r.db.dialect.CachedMode != nil {
		limit, limitArgs = " LIMIT "+strconv.Itoa(q.Limit), nil
	}
	if q.Sort == courses.Relevance {
		query, args := r.relevanceQuery(q, s, from, limit)
		return query, append(args, limitArgs...)
	}
	keys, id := s.keyset(r.db, q, by)
	direction := ""
	if by.down {
		direction = " DESC"
	}
	return "SELECT " + courseColumns + ", 0" + from + joinCategory + " WHERE " + strings.Join(s.where, " AND ") +
		" ORDER BY " + strings.Join(append(keys, id), direction+", ") + direction + limit, append(s.args, limitArgs...)
}

// relevanceQuery ranks what was found by narrow rows, and reads the wide ones of
// the page alone.
func (r coursesReader) relevanceQuery(q courses.ListQuery, s *statement, from, limit string) (string, []any) {
	const orderBy = " ORDER BY field DESC, rating_rank DESC, title_words, id DESC"
	field, args := r.db.dialect.Search.Field(q.Terms)
	ranked := "SELECT c.id, s.rating_rank, c.title_words, " + field + " AS field" + from + " WHERE " + strings.Join(s.where, " AND ")
	args = append(args, s.args...)
	after := ""
	if q.After != nil && len(q.After.Keys) == 3 {
		k := q.After.Keys
		after = " WHERE (field, rating_rank, -title_words, id) < (?, ?, ?, ?)"
		args = append(args, k[0], k[1], -k[2], q.After.ID)
	}
	page := "SELECT * FROM (" + ranked + ") AS ranked" + after + orderBy + limit
	return "SELECT " + courseColumns + ", p.field FROM (" + page + ") AS p" + r.db.dialect.JoinOrder + "ustat_courses AS c" +
		r.db.dialect.JoinOrder + "ustat_course_stats AS s" + joinCategory +
		" WHERE c.id = p.id AND s.course_id = p.id ORDER BY p.field DESC, p.rating_rank DESC, p.title_words, p.id DESC", args
}

// keyset adds the condition of the page and returns the columns of the order.
func (s *statement) keyset(d *DB, q courses.ListQuery, by order) (keys []string, id string) {
	lead := leadTable(q, by)
	id = lead + ".course_id"
	for _, key := range by.keys {
		keys = append(keys, lead+"."+key)
	}
	if lead == "c" {
		id = "c.id"
	}
	if q.After == nil || len(q.After.Keys) != 1 {
		return keys, id
	}
	var value any = q.After.Keys[0]
	if q.Sort == courses.Newest {
		value = d.timeValue(time.UnixMicro(q.After.Keys[0]).UTC())
	}
	than := " > "
	if by.down {
		than = " < "
	}
	s.and("("+keys[0]+", "+id+")"+than+"(?, ?)", value, q.After.ID)
	return keys, id
}

// leadTable returns the alias of the table whose index a list follows. A tag's
// index has the order by time and by price; by rating and by students a tagged
// list tests rows along the statistics (docs/adr/0003).
func leadTable(q courses.ListQuery, by order) string {
	if q.Tag != 0 && by.lead == "c" && q.Sort != courses.Relevance {
		return "t"
	}
	return by.lead
}

// CountCourses implements courses.CourseReader.
func (r coursesReader) CountCourses(ctx context.Context, q courses.ListQuery) (int, error) {
	s, from := r.filter(q, orders[courses.Newest])
	counts, err := readAll(ctx, r.session, "SELECT count(*)"+from+" WHERE "+strings.Join(s.where, " AND "), s.args,
		func(rows *sql.Rows, n *int) error { return rows.Scan(n) })
	if err != nil {
		return 0, err
	}
	return counts[0], nil
}

const joinCategory = " LEFT JOIN ustat_categories AS k ON k.id = c.category_id"

// filter returns the conditions of q and the tables, the leading one first.
func (r coursesReader) filter(q courses.ListQuery, by order) (*statement, string) {
	s := new(statement)
	lead := leadTable(q, by)
	if statusText[q.Status] == "" {
		q.Status = courses.Published
		s.and("1 = 0")
	}
	join := r.db.dialect.JoinOrder
	var from string
	switch lead {
	case "t":
		from = " FROM ustat_course_tags AS t" + join + "ustat_courses AS c" + join + "ustat_course_stats AS s"
		s.and("c.id = t.course_id")
		s.and("s.course_id = c.id")
		s.and("t.tag_id = ?", q.Tag)
	case "s":
		from = " FROM ustat_course_stats AS s" + join + "ustat_courses AS c"
		s.and("c.id = s.course_id")
	default:
		from = " FROM ustat_courses AS c" + join + "ustat_course_stats AS s"
		s.and("s.course_id = c.id")
	}
	// The status stands in the text: with it PostgreSQL finds one plan that is good
	// for every page, and keeps it.
	s.and(lead + ".status = " + statusText[q.Status])

	same := lead // the table that has category, teacher and language beside the order
	if lead == "t" {
		same = "c"
	}
	if len(q.Categories) == 1 {
		s.and(same+".category_id = ?", q.Categories[0])
	} else if len(q.Categories) > 1 {
		// A branch of the tree follows the order's index and tests rows along it.
		where, args := in(r.db, r.db.dialect.NoIndex+same+".category_id", q.Categories)
		s.and(where, args...)
	}
	if q.Teacher != 0 {
		s.and(same+".teacher_id = ?", q.Teacher)
	}
	if q.Teachers != nil {
		where, args := r.ofTeachers(q, same)
		s.and(where, args...)
	}
	if q.Language != "" {
		s.and(same+".lang = ?", baseLanguage(q.Language))
		if tag := strings.ToLower(q.Language); tag != baseLanguage(tag) {
			s.and("(lower(c.language) = ? OR substr(lower(c.language), 1, ?) = ?)", tag, len(tag)+1, tag+"-")
		}
	}
	if q.Tag != 0 && lead != "t" {
		s.and("EXISTS (SELECT 1 FROM ustat_course_tags AS t WHERE t.course_id = c.id AND t.tag_id = ?)", q.Tag)
	}
	s.prices(q, lead)
	if q.RatingMin > 0 {
		s.and("s.review_count > 0 AND s.rating_sum * 100 >= s.review_count * ?", q.RatingMin)
	}
	if q.Sort == courses.Trending {
		s.and("s.trend > 0")
	}
	if q.ReviewsMin > 0 {
		s.and("s.review_count >= ?", q.ReviewsMin)
	}
	if len(q.Terms) > 0 {
		condition, args := r.db.dialect.Search.Match(q.Terms)
		s.and(condition, args...)
	}
	return s, from
}

// ofTeachers returns the condition of q.Teachers and q.Seated.
func (r coursesReader) ofTeachers(q courses.ListQuery, table string) (string, []any) {
	where, args := "1 = 0", []any(nil)
	if len(q.Teachers) > 0 {
		where, args = in(r.db, table+".teacher_id", q.Teachers)
	}
	switch {
	case q.Seated == 0:
		return where, args
	case len(q.Teachers) == 0:
		return seatedIn, []any{q.Seated}
	}
	return "(" + where + " OR " + seatedIn + ")", append(args, q.Seated)
}

func (s *statement) prices(q courses.ListQuery, lead string) {
	table := "c"
	if lead == "t" {
		table = "t"
	}
	if q.Currency != "" {
		s.and(table+".currency = ?", q.Currency)
	}
	if q.PriceMin != nil {
		s.and(table+".price_minor >= ?", *q.PriceMin)
	}
	if q.PriceMax != nil {
		s.and(table+".price_minor <= ?", *q.PriceMax)
	}
}

// baseLanguage returns "pt" for "pt-BR".
func baseLanguage(tag string) string {
	base, _, _ := strings.Cut(tag, "-")
	return strings.ToLower(base)
}
