package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"

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
}

const courseColumns = "c.id, c.slug, c.title, c.description, c.requirements, c.language, c.price_minor, c.currency, c.status, c.teacher_id," +
	" c.category_id, k.slug AS category_slug, k.name AS category_name, s.review_count, s.rating_sum, s.rating_rank, s.students, s.completions," +
	" c.title_words, c.created_at, c.updated_at, c.published_at"

const fromCourses = " FROM ustat_courses AS c JOIN ustat_course_stats AS s ON s.course_id = c.id LEFT JOIN ustat_categories AS k ON k.id = c.category_id"

func (r *courseRow) course() courses.Course {
	c := courses.Course{
		ID: r.ID, Slug: r.Slug, Title: r.Title, Description: r.Description, Requirements: r.Requirements, Language: r.Language,
		Price: core.Money{Minor: r.PriceMinor, Currency: r.Currency}, Status: r.Status, Teacher: courses.Teacher{ID: r.TeacherID},
		Category:  courses.Category{ID: courses.CategoryID(r.CategoryID.Int64), Slug: r.CategorySlug.String, Name: r.CategoryName.String},
		Stats:     courses.Stats{ReviewCount: r.ReviewCount, RatingSum: r.RatingSum, Students: r.Students, Completions: r.Completions},
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.PublishedAt.Valid {
		c.PublishedAt = r.PublishedAt.Time.UTC()
	}
	return c
}

// scanCourse scans courseColumns and the field of Relevance.
func scanCourse(rows *sql.Rows, r *courseRow) error {
	return rows.Scan(&r.ID, &r.Slug, &r.Title, &r.Description, &r.Requirements, &r.Language, &r.PriceMinor, &r.Currency, &r.Status, &r.TeacherID,
		&r.CategoryID, &r.CategorySlug, &r.CategoryName, &r.ReviewCount, &r.RatingSum, &r.RatingRank, &r.Students, &r.Completions,
		&r.TitleWords, &r.CreatedAt, &r.UpdatedAt, &r.PublishedAt, &r.Field)
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

type categoryRow struct {
	bun.BaseModel `bun:"table:ustat_categories"`
	ID            courses.CategoryID `bun:"id,pk,autoincrement"`
	Slug          string             `bun:"slug"`
	Name          string             `bun:"name"`
	ParentID      courses.CategoryID `bun:"parent_id,nullzero"`
	CourseCount   int                `bun:"course_count"`
}

const selectCategories = "SELECT k.id, k.slug, k.name, k.parent_id, p.slug, k.course_count FROM ustat_categories AS k LEFT JOIN ustat_categories AS p ON p.id = k.parent_id"

func scanCategory(rows *sql.Rows, c *courses.Category) error {
	var parentID sql.NullInt64
	var parent sql.NullString
	err := rows.Scan(&c.ID, &c.Slug, &c.Name, &parentID, &parent, &c.CourseCount)
	c.ParentID, c.Parent = courses.CategoryID(parentID.Int64), parent.String
	return err
}

func (r coursesReader) Categories(ctx context.Context, after string, limit int) ([]courses.Category, error) {
	return readAll(ctx, r.session, selectCategories+" WHERE k.slug > ? ORDER BY k.slug LIMIT ?", []any{after, limit}, scanCategory)
}

func (r coursesReader) CategoriesBySlug(ctx context.Context, slugs []string) ([]courses.Category, error) {
	if slugs = validOnly(slugs); len(slugs) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "k.slug", slugs)
	return readAll(ctx, r.session, selectCategories+" WHERE "+where, args, scanCategory)
}

func (r coursesReader) Subtree(ctx context.Context, slug string) ([]courses.CategoryID, error) {
	if !core.ValidText(slug) {
		return nil, courses.ErrCategoryNotFound
	}
	// UNION, not UNION ALL: it ends even on a cycle.
	ids, err := readAll(ctx, r.session, "WITH RECURSIVE below (id) AS (SELECT id FROM ustat_categories WHERE slug = ?"+
		" UNION SELECT k.id FROM ustat_categories AS k JOIN below AS b ON k.parent_id = b.id) SELECT id FROM below", []any{slug},
		func(rows *sql.Rows, id *courses.CategoryID) error { return rows.Scan(id) })
	if err == nil && len(ids) == 0 {
		return nil, courses.ErrCategoryNotFound
	}
	return ids, err
}

const selectTags = "SELECT id, slug, name FROM ustat_tags"

func scanTag(rows *sql.Rows, t *courses.Tag) error { return rows.Scan(&t.ID, &t.Slug, &t.Name) }

func (r coursesReader) Tags(ctx context.Context, after string, limit int) ([]courses.Tag, error) {
	return readAll(ctx, r.session, selectTags+" WHERE slug > ? ORDER BY slug LIMIT ?", []any{after, limit}, scanTag)
}

func (r coursesReader) TagsBySlug(ctx context.Context, slugs []string) ([]courses.Tag, error) {
	if slugs = validOnly(slugs); len(slugs) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "slug", slugs)
	return readAll(ctx, r.session, selectTags+" WHERE "+where, args, scanTag)
}

const moduleColumns = "id, course_id, title, description, position"

func (r coursesReader) Modules(ctx context.Context, course courses.CourseID, after, limit int) ([]courses.Module, error) {
	return readAll(ctx, r.session, "SELECT "+moduleColumns+" FROM ustat_modules WHERE course_id = ? AND position > ? ORDER BY position LIMIT ?",
		[]any{course, after, limit}, scanModule)
}

func (r coursesReader) ModulesOf(ctx context.Context, ids []courses.CourseID) ([]courses.Module, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "course_id", ids)
	return readAll(ctx, r.session, "SELECT "+moduleColumns+" FROM ustat_modules WHERE "+where, args, scanModule)
}

func scanModule(rows *sql.Rows, m *courses.Module) error {
	return rows.Scan(&m.ID, &m.CourseID, &m.Title, &m.Description, &m.Position)
}

type lessonRow struct {
	bun.BaseModel   `bun:"table:ustat_lessons"`
	ID              courses.LessonID `bun:"id,pk,autoincrement"`
	ModuleID        courses.ModuleID `bun:"module_id"`
	CourseID        courses.CourseID `bun:"course_id"`
	Position        int              `bun:"position"`
	Title           string           `bun:"title"`
	Kind            courses.Kind     `bun:"kind"`
	Content         string           `bun:"content"`
	DurationSeconds int64            `bun:"duration_seconds"`
	FreePreview     bool             `bun:"free_preview"`
}

const selectLessons = "SELECT l.id, l.module_id, l.course_id, l.position, l.title, l.kind, l.content, l.duration_seconds, l.free_preview, m.position AS module_position FROM ustat_modules AS m JOIN ustat_lessons AS l ON l.module_id = m.id"

func scanLesson(rows *sql.Rows, l *courses.Lesson) error {
	var seconds int64
	err := rows.Scan(&l.ID, &l.ModuleID, &l.CourseID, &l.Position, &l.Title, &l.Kind, &l.Content, &seconds, &l.FreePreview, &l.ModulePosition)
	l.Duration = time.Duration(seconds) * time.Second
	return err
}

func (r coursesReader) Lessons(ctx context.Context, course courses.CourseID, module courses.ModuleID, after [2]int, limit int) ([]courses.Lesson, error) {
	where, args := " WHERE m.course_id = ?", []any{course}
	if module != 0 {
		where, args = where+" AND m.id = ?", append(args, module)
	}
	return readAll(ctx, r.session, selectLessons+where+" AND m.position >= ? AND (m.position, l.position) > (?, ?) ORDER BY m.position, l.position LIMIT ?",
		append(args, after[0], after[0], after[1], limit), scanLesson)
}

func (r coursesReader) LessonsOf(ctx context.Context, modules []courses.ModuleID) ([]courses.Lesson, error) {
	if len(modules) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "m.id", modules)
	return readAll(ctx, r.session, selectLessons+" WHERE "+where, args, scanLesson)
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
