package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// courseRow is a course as it is read: with its statistics and its category.
type courseRow struct {
	ID           courses.CourseID
	Slug         string
	Title        string
	Description  string
	Requirements string
	Language     string
	PriceMinor   int64
	Currency     string
	Status       courses.Status
	TeacherID    core.UserID
	CategoryID   sql.NullInt64
	CategorySlug sql.NullString
	CategoryName sql.NullString
	ReviewCount  int64
	RatingSum    int64
	RatingRank   int64
	Students     int64
	Completions  int64
	TitleWords   int64
	Field        int64
	CreatedAt    time.Time
	UpdatedAt    time.Time
	PublishedAt  sql.NullTime
	TextPolicy   int
	Rejection    string
	Capacity     int
	Before       int // prerequisites
	Version      int64
}

const courseColumns = "c.id, c.slug, c.title, c.description, c.requirements, c.language, c.price_minor, c.currency, c.status, c.teacher_id," +
	" c.category_id, k.slug AS category_slug, k.name AS category_name, s.review_count, s.rating_sum, s.rating_rank, s.students, s.completions," +
	" c.title_words, c.created_at, c.updated_at, c.published_at, c.text_policy, c.rejection, c.capacity, c.prerequisite_count, c.version"

const fromCourses = " FROM ustat_courses AS c JOIN ustat_course_stats AS s ON s.course_id = c.id LEFT JOIN ustat_categories AS k ON k.id = c.category_id"

func (r *courseRow) course() courses.Course {
	c := courses.Course{
		ID: r.ID, Slug: r.Slug, Title: r.Title, Description: r.Description, Requirements: r.Requirements, Language: r.Language,
		Price: core.Money{Minor: r.PriceMinor, Currency: r.Currency}, Status: r.Status, Teacher: courses.Teacher{ID: r.TeacherID},
		Category:  courses.Category{ID: courses.CategoryID(r.CategoryID.Int64), Slug: r.CategorySlug.String, Name: r.CategoryName.String},
		Stats:     courses.Stats{ReviewCount: r.ReviewCount, RatingSum: r.RatingSum, Students: r.Students, Completions: r.Completions},
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
		TextPolicy: r.TextPolicy, Rejection: r.Rejection, Capacity: r.Capacity, PrerequisiteCount: r.Before, Version: r.Version,
	}
	if r.PublishedAt.Valid {
		c.PublishedAt = r.PublishedAt.Time.UTC()
	}
	return c
}

// columns returns where courseColumns are scanned to.
func (r *courseRow) columns() []any {
	return []any{
		&r.ID, &r.Slug, &r.Title, &r.Description, &r.Requirements, &r.Language, &r.PriceMinor, &r.Currency, &r.Status, &r.TeacherID,
		&r.CategoryID, &r.CategorySlug, &r.CategoryName, &r.ReviewCount, &r.RatingSum, &r.RatingRank, &r.Students, &r.Completions,
		&r.TitleWords, &r.CreatedAt, &r.UpdatedAt, &r.PublishedAt, &r.TextPolicy, &r.Rejection, &r.Capacity, &r.Before, &r.Version,
	}
}

// scanCourse scans courseColumns and the field of Relevance.
func scanCourse(rows *sql.Rows, r *courseRow) error {
	return rows.Scan(append(r.columns(), &r.Field)...)
}

// coursesReader implements courses.Reader over a pool or a Tx.
type coursesReader struct{ session }

func (r coursesReader) CourseBySlug(ctx context.Context, slug string) (courses.Course, error) {
	found, err := r.CoursesBySlug(ctx, []string{slug})
	if err != nil {
		return courses.Course{}, err
	}
	if len(found) == 0 {
		return courses.Course{}, courses.ErrCourseNotFound
	}
	return found[0], nil
}

func (r coursesReader) CoursesBySlug(ctx context.Context, slugs []string) ([]courses.Course, error) {
	if slugs = validOnly(slugs); len(slugs) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "c.slug", slugs)
	return r.coursesWhere(ctx, where, args)
}

// coursesWhere reads courses and their tags by two statements.
func (r coursesReader) coursesWhere(ctx context.Context, where string, args []any) ([]courses.Course, error) {
	rows, err := readAll(ctx, r.session, "SELECT "+courseColumns+", 0"+fromCourses+" WHERE "+where, args, scanCourse)
	if err != nil {
		return nil, err
	}
	found := make([]courses.Course, len(rows))
	for i := range rows {
		found[i] = rows[i].course()
	}
	return found, r.fillTags(ctx, found)
}

// CurrentSlug implements courses.CourseReader.
func (r coursesReader) CurrentSlug(ctx context.Context, old string) (string, error) {
	if !core.ValidText(old) {
		return "", courses.ErrCourseNotFound
	}
	found, err := readAll(ctx, r.session, "SELECT c.slug FROM ustat_course_slugs AS o JOIN ustat_courses AS c ON c.id = o.course_id WHERE o.slug = ?",
		[]any{old}, scanOne[string])
	if err == nil && len(found) == 0 {
		err = courses.ErrCourseNotFound
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

// TakenSlugs implements courses.CourseReader.
func (r coursesReader) TakenSlugs(ctx context.Context, slugs []string) ([]string, error) {
	if slugs = validOnly(slugs); len(slugs) == 0 {
		return nil, nil
	}
	present, args := in(r.db, "slug", slugs)
	old, more := in(r.db, "slug", slugs)
	return readAll(ctx, r.session, "SELECT slug FROM ustat_courses WHERE "+present+" UNION SELECT slug FROM ustat_course_slugs WHERE "+old,
		append(args, more...), scanOne[string])
}

// HasCourses implements courses.CourseReader.
func (r coursesReader) HasCourses(ctx context.Context, teacher core.UserID) (bool, error) {
	found, err := readAll(ctx, r.session, "SELECT 1 FROM ustat_courses WHERE teacher_id = ? LIMIT 1", []any{teacher}, scanOne[int])
	return len(found) > 0, err
}

func scanOne[T any](rows *sql.Rows, value *T) error { return rows.Scan(value) }

func (r coursesReader) CourseIDs(ctx context.Context, slugs []string) (map[string]courses.CourseID, error) {
	if slugs = validOnly(slugs); len(slugs) == 0 {
		return nil, nil
	}
	type named struct {
		id   courses.CourseID
		slug string
	}
	where, args := in(r.db, "slug", slugs)
	rows, err := readAll(ctx, r.session, "SELECT id, slug FROM ustat_courses WHERE "+where, args,
		func(rows *sql.Rows, n *named) error { return rows.Scan(&n.id, &n.slug) })
	if err != nil {
		return nil, err
	}
	ids := make(map[string]courses.CourseID, len(rows))
	for _, row := range rows {
		ids[row.slug] = row.id
	}
	return ids, nil
}

func validOnly(names []string) []string {
	valid := make([]string, 0, len(names))
	for _, n := range names {
		if core.ValidText(n) {
			valid = append(valid, n)
		}
	}
	return valid
}

// fillTags reads the tags of a page by one statement.
func (r coursesReader) fillTags(ctx context.Context, page []courses.Course) error {
	if len(page) == 0 {
		return nil
	}
	ids := make([]courses.CourseID, len(page))
	for i := range page {
		ids[i] = page[i].ID
	}
	where, args := in(r.db, "ct.course_id", ids)
	type tagOf struct {
		course courses.CourseID
		tag    courses.Tag
	}
	rows, err := readAll(ctx, r.session, "SELECT ct.course_id, t.id, t.slug, t.name FROM ustat_course_tags AS ct JOIN ustat_tags AS t ON t.id = ct.tag_id"+
		" WHERE "+where+" ORDER BY t.name, t.id", args,
		func(rows *sql.Rows, row *tagOf) error {
			return rows.Scan(&row.course, &row.tag.ID, &row.tag.Slug, &row.tag.Name)
		})
	if err != nil {
		return err
	}
	at := make(map[courses.CourseID]int, len(page))
	for i, id := range ids {
		at[id] = i
	}
	for _, row := range rows {
		c := &page[at[row.course]]
		c.Tags = append(c.Tags, row.tag)
	}
	return nil
}

func (r coursesReader) Currencies(ctx context.Context, status courses.Status) ([]string, error) {
	text := statusText[status]
	if text == "" {
		return nil, nil
	}
	type ends struct{ first, last sql.NullString }
	const of = "(currency) FROM ustat_courses WHERE status = "
	found, err := readAll(ctx, r.session, "SELECT (SELECT min"+of+text+"), (SELECT max"+of+text+")", nil,
		func(rows *sql.Rows, e *ends) error { return rows.Scan(&e.first, &e.last) })
	if err != nil || !found[0].first.Valid {
		return nil, err
	}
	if e := found[0]; e.first != e.last {
		return []string{e.first.String, e.last.String}, nil
	}
	return []string{found[0].first.String}, nil
}

// coursesTx implements courses.Tx.
type coursesTx struct {
	*Tx
	coursesReader
}

// coursesStore implements courses.Store.
type coursesStore struct {
	coursesReader
	outbox
	db *DB
}

func newCourses(d *DB) *coursesStore {
	s := session{db: d}
	return &coursesStore{coursesReader{s}, outbox{s, "courses"}, d}
}

// Update implements courses.Store.
func (s *coursesStore) Update(ctx context.Context, fn func(ctx context.Context, tx courses.Tx) error) error {
	return s.db.update(ctx, "courses", func(ctx context.Context, tx *Tx) error {
		return fn(ctx, coursesTx{tx, coursesReader{tx.session}})
	})
}

// Join implements core.Joiner.
func (s *coursesStore) Join(tx *sql.Tx) (courses.Store, error) { return newCourses(s.db.join(tx)), nil }

var _ core.Joiner[courses.Store] = (*coursesStore)(nil)
