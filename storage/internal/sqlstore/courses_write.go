package sqlstore

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// InsertCategories implements courses.Tx.
func (t coursesTx) InsertCategories(ctx context.Context, list []courses.Category) ([]courses.Category, error) {
	if err := checkText(len(list), func(i int) []string { return []string{list[i].Slug, list[i].Name} }); err != nil {
		return nil, err
	}
	rows := make([]categoryRow, len(list))
	for i, c := range list {
		rows[i] = categoryRow{Slug: c.Slug, Name: c.Name, ParentID: c.ParentID}
	}
	ids, err := insertNamed[categoryRow, courses.CategoryID](ctx, t.Tx, "ustat_categories", rows)
	if err != nil {
		return nil, err
	}
	out := make([]courses.Category, len(list))
	for i, c := range list {
		c.ID = ids[c.Slug]
		out[i] = c
	}
	return out, nil
}

// insertNamed adds rows with unique slugs, without some of their columns, and returns
// their ids.
func insertNamed[R any, ID ~int64](ctx context.Context, tx *Tx, table string, rows []R, without ...string) (map[string]ID, error) {
	type added struct {
		ID   ID
		Slug string
	}
	got, ok, err := insert[R, added](ctx, tx, table, rows, "id, slug", without...)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, courses.ErrSlugTaken
	}
	ids := make(map[string]ID, len(got))
	for _, a := range got {
		ids[a.Slug] = a.ID
	}
	return ids, nil
}

// UpdateCategory implements courses.Tx.
func (t coursesTx) UpdateCategory(ctx context.Context, c courses.Category) error {
	if err := checkText(1, func(int) []string { return []string{c.Name} }); err != nil {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_categories SET name = ?, parent_id = ? WHERE id = ?", c.Name, nullID(int64(c.ParentID)), c.ID)
	if err == nil && n == 0 {
		return courses.ErrCategoryNotFound
	}
	return err
}

func nullID(id int64) sql.NullInt64 { return sql.NullInt64{Int64: id, Valid: id != 0} }

// RecountCategories implements courses.Tx.
func (t coursesTx) RecountCategories(ctx context.Context) error {
	_, err := t.Tx.rawExec(ctx, `WITH RECURSIVE below (top, id) AS (
		SELECT id, id FROM ustat_categories UNION SELECT b.top, k.id FROM below AS b JOIN ustat_categories AS k ON k.parent_id = b.id
	), counted (id, n) AS (
		SELECT category_id, count(*) FROM ustat_course_stats WHERE status = 'published' GROUP BY category_id
	), totals (id, n) AS (
		SELECT b.top, sum(c.n) FROM below AS b JOIN counted AS c ON c.id = b.id GROUP BY b.top
	)
	UPDATE ustat_categories SET course_count = coalesce((SELECT n FROM totals WHERE totals.id = ustat_categories.id), 0)`)
	return err
}

type tagRow struct {
	bun.BaseModel `bun:"table:ustat_tags"`
	ID            courses.TagID `bun:"id,pk,autoincrement"`
	Slug          string        `bun:"slug"`
	Name          string        `bun:"name"`
}

// EnsureTags implements courses.Tx.
func (t coursesTx) EnsureTags(ctx context.Context, tags []courses.Tag) ([]courses.Tag, error) {
	if err := checkText(len(tags), func(i int) []string { return []string{tags[i].Slug, tags[i].Name} }); err != nil || len(tags) == 0 {
		return nil, err
	}
	conn, err := t.Tx.session.conn(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]tagRow, len(tags))
	slugs := make([]string, len(tags))
	for i, tag := range tags {
		rows[i], slugs[i] = tagRow{Slug: tag.Slug, Name: tag.Name}, tag.Slug
	}
	q := t.Tx.db.bun.NewInsert().Conn(conn).Model(&rows).On("CONFLICT DO NOTHING").Returning("NULL")
	if _, err := t.Tx.exec(ctx, q); err != nil {
		return nil, err
	}
	ensured := make([]courses.Tag, 0, len(tags))
	for block := range slices.Chunk(slugs, blockRows) { // a statement takes so many parameters
		some, err := t.TagsBySlug(ctx, block)
		if err != nil {
			return nil, err
		}
		ensured = append(ensured, some...)
	}
	return ensured, nil
}

type courseWriteRow struct {
	bun.BaseModel `bun:"table:ustat_courses"`
	ID            courses.CourseID `bun:"id,pk,autoincrement"`
	Slug          string           `bun:"slug"`
	Title         string           `bun:"title"`
	Description   string           `bun:"description"`
	Requirements  string           `bun:"requirements"`
	Language      string           `bun:"language"`
	Lang          string           `bun:"lang"`
	PriceMinor    int64            `bun:"price_minor"`
	Currency      string           `bun:"currency"`
	Status        courses.Status   `bun:"status"`
	TeacherID     core.UserID      `bun:"teacher_id"`
	CategoryID    sql.NullInt64    `bun:"category_id"`
	TitleWords    int              `bun:"title_words"`
	CreatedAt     time.Time        `bun:"created_at"`
	UpdatedAt     time.Time        `bun:"updated_at"`
	PublishedAt   bun.NullTime     `bun:"published_at"`
	FTS           string           `bun:"fts,type:tsvector"`
	FTSHead       string           `bun:"fts_head,type:tsvector"`
}

// textColumns are the columns of a TextColumns; elsewhere the courses have none.
var textColumns = []string{"fts", "fts_head"}

func newCourseWriteRow(c courses.Course, doc Document) courseWriteRow {
	row := courseWriteRow{
		ID: c.ID, Slug: c.Slug, Title: c.Title, Description: c.Description, Requirements: c.Requirements,
		Language: c.Language, Lang: baseLanguage(c.Language), PriceMinor: c.Price.Minor, Currency: c.Price.Currency, Status: c.Status,
		TeacherID: c.Teacher.ID, CategoryID: nullID(int64(c.Category.ID)), TitleWords: len(doc.Title),
		CreatedAt: core.Time(c.CreatedAt), UpdatedAt: core.Time(c.UpdatedAt),
	}
	if !c.PublishedAt.IsZero() {
		row.PublishedAt = bun.NullTime{Time: core.Time(c.PublishedAt)}
	}
	return row
}

type statsRow struct {
	bun.BaseModel `bun:"table:ustat_course_stats"`
	CourseID      courses.CourseID `bun:"course_id"`
	Status        courses.Status   `bun:"status"`
	CategoryID    sql.NullInt64    `bun:"category_id"`
	TeacherID     core.UserID      `bun:"teacher_id"`
	Lang          string           `bun:"lang"`
}

type courseTagRow struct {
	bun.BaseModel `bun:"table:ustat_course_tags"`
	CourseID      courses.CourseID `bun:"course_id"`
	TagID         courses.TagID    `bun:"tag_id"`
	Status        courses.Status   `bun:"status"`
	CreatedAt     time.Time        `bun:"created_at"`
	Currency      string           `bun:"currency"`
	PriceMinor    int64            `bun:"price_minor"`
}

func checkCourses(list []courses.Course) error {
	return checkText(len(list), func(i int) []string {
		c := list[i]
		return []string{c.Slug, c.Title, c.Description, c.Requirements, c.Language, c.Price.Currency}
	})
}

func (t coursesTx) prepare(list []courses.Course) ([]courseWriteRow, []Document) {
	rows, docs := make([]courseWriteRow, len(list)), make([]Document, len(list))
	text, beside := t.Tx.db.dialect.Search.(TextColumns)
	for i, c := range list {
		docs[i] = newDocument(c)
		rows[i] = newCourseWriteRow(c, docs[i])
		if beside {
			rows[i].FTS, rows[i].FTSHead = text.Columns(docs[i])
		}
	}
	return rows, docs
}

// InsertCourses implements courses.Tx.
func (t coursesTx) InsertCourses(ctx context.Context, list []courses.Course) ([]courses.Course, error) {
	if err := checkCourses(list); err != nil || len(list) == 0 {
		return nil, err
	}
	rows, docs := t.prepare(list)
	var without []string
	if _, beside := t.Tx.db.dialect.Search.(TextColumns); !beside {
		without = textColumns
	}
	var out []courses.Course
	write := func() error {
		ids, err := insertNamed[courseWriteRow, courses.CourseID](ctx, t.Tx, "ustat_courses", rows, without...)
		if err != nil {
			return err
		}
		out = make([]courses.Course, len(list))
		stats := make([]statsRow, len(list))
		for i, c := range list {
			c.ID = ids[c.Slug]
			rows[i].ID, docs[i].ID, out[i] = c.ID, c.ID, c
			stats[i] = statsRow{CourseID: c.ID, Status: c.Status, CategoryID: rows[i].CategoryID, TeacherID: c.Teacher.ID, Lang: rows[i].Lang}
		}
		if err := insertBlocks(ctx, t.Tx, stats); err != nil {
			return err
		}
		return t.writeTagsAndText(ctx, out, rows, docs, false)
	}
	err := t.Tx.atomically(ctx, write)
	return out, err
}

// insertBlocks adds rows that meet no unique key.
func insertBlocks[R any](ctx context.Context, tx *Tx, rows []R) error {
	for start := 0; start < len(rows); start += blockRows {
		block := rows[start:min(start+blockRows, len(rows))]
		conn, err := tx.session.conn(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.exec(ctx, tx.db.bun.NewInsert().Conn(conn).Model(&block)); err != nil {
			return err
		}
	}
	return nil
}

// writeTagsAndText adds the tags of courses and their entries of the index.
func (t coursesTx) writeTagsAndText(ctx context.Context, list []courses.Course, rows []courseWriteRow, docs []Document, old bool) error {
	var tags []courseTagRow
	for i, c := range list {
		for _, tag := range c.Tags {
			tags = append(tags, courseTagRow{
				CourseID: c.ID, TagID: tag.ID, Status: c.Status, CreatedAt: rows[i].CreatedAt, Currency: c.Price.Currency, PriceMinor: c.Price.Minor,
			})
		}
	}
	if err := insertBlocks(ctx, t.Tx, tags); err != nil {
		return err
	}
	if text, apart := t.Tx.db.dialect.Search.(TextTable); apart {
		return text.Write(ctx, t.Tx, docs, old)
	}
	return nil
}

// UpdateCourses implements courses.Tx.
func (t coursesTx) UpdateCourses(ctx context.Context, list []courses.Course) error {
	if err := checkCourses(list); err != nil || len(list) == 0 {
		return err
	}
	list, ids, err := t.keepCreatedAt(ctx, list)
	if err != nil {
		return err
	}
	rows, docs := t.prepare(list)
	return t.Tx.atomically(ctx, func() error {
		if err := t.checkSlugs(ctx, list); err != nil {
			return err
		}
		set := []string{
			"slug", "title", "description", "requirements", "language", "lang", "price_minor", "currency", "status",
			"teacher_id", "category_id", "title_words", "created_at", "updated_at", "published_at",
		}
		if _, beside := t.Tx.db.dialect.Search.(TextColumns); beside {
			set = append(set, textColumns...)
		}
		err := updateRows(ctx, t.Tx, rows, courses.ErrCourseNotFound, set...)
		if t.Tx.db.constraint(err) != "" { // a concurrent writer was faster
			return courses.ErrSlugTaken
		}
		if err != nil {
			return err
		}
		if _, err := t.Tx.rawExec(ctx, "UPDATE ustat_course_stats SET status = c.status, category_id = c.category_id, teacher_id = c.teacher_id, lang = c.lang"+
			" FROM ustat_courses AS c WHERE c.id = ustat_course_stats.course_id AND ustat_course_stats.course_id IN (?)", bun.List(ids)); err != nil {
			return err
		}
		if _, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_course_tags WHERE course_id IN (?)", bun.List(ids)); err != nil {
			return err
		}
		return t.writeTagsAndText(ctx, list, rows, docs, true)
	})
}

// keepCreatedAt returns the courses and their ids, with the stored time where none
// is given.
func (t coursesTx) keepCreatedAt(ctx context.Context, list []courses.Course) ([]courses.Course, []courses.CourseID, error) {
	list = slices.Clone(list)
	ids := make([]courses.CourseID, len(list))
	missing := false
	for i, c := range list {
		ids[i] = c.ID
		missing = missing || c.CreatedAt.IsZero()
	}
	if !missing {
		return list, ids, nil
	}
	var stored []struct {
		ID        courses.CourseID
		CreatedAt time.Time
	}
	if err := t.Tx.rawScan(ctx, &stored, "SELECT id, created_at FROM ustat_courses WHERE id IN (?)", bun.List(ids)); err != nil {
		return nil, nil, err
	}
	for i := range list {
		for _, s := range stored {
			if s.ID == list[i].ID && list[i].CreatedAt.IsZero() {
				list[i].CreatedAt = s.CreatedAt
			}
		}
	}
	return list, ids, nil
}

// checkSlugs refuses slugs that other courses have.
func (t coursesTx) checkSlugs(ctx context.Context, list []courses.Course) error {
	slugs := make([]string, len(list))
	own := make(map[string]courses.CourseID, len(list))
	for i, c := range list {
		slugs[i], own[c.Slug] = c.Slug, c.ID
	}
	if len(own) < len(list) {
		return courses.ErrSlugTaken
	}
	stored, err := t.CourseIDs(ctx, slugs)
	if err != nil {
		return err
	}
	for slug, id := range stored {
		if own[slug] != id {
			return courses.ErrSlugTaken
		}
	}
	return nil
}

// updateRows writes the columns of rows by primary key, one statement a block.
func updateRows[R any](ctx context.Context, tx *Tx, rows []R, missing error, columns ...string) error {
	for start := 0; start < len(rows); start += blockRows {
		block := rows[start:min(start+blockRows, len(rows))]
		conn, err := tx.session.conn(ctx)
		if err != nil {
			return err
		}
		n, err := tx.exec(ctx, tx.db.bun.NewUpdate().Conn(conn).Model(&block).Column(columns...).Bulk())
		if err != nil {
			return err
		}
		if int(n) < len(block) {
			return missing
		}
	}
	return nil
}

type moduleRow struct {
	bun.BaseModel `bun:"table:ustat_modules"`
	ID            courses.ModuleID `bun:"id,pk,autoincrement"`
	CourseID      courses.CourseID `bun:"course_id"`
	Position      int              `bun:"position"`
	Title         string           `bun:"title"`
	Description   string           `bun:"description"`
}

func moduleRows(list []courses.Module) []moduleRow {
	rows := make([]moduleRow, len(list))
	for i, m := range list {
		rows[i] = moduleRow{ID: m.ID, CourseID: m.CourseID, Position: m.Position, Title: m.Title, Description: m.Description}
	}
	return rows
}

func checkModules(list []courses.Module) error {
	return checkText(len(list), func(i int) []string { return []string{list[i].Title, list[i].Description} })
}

// place is where a row stands: in its parent, at its position.
type place struct{ Parent, Position int64 }

// insertPlaced adds rows that are unique by parent and position.
func insertPlaced[R any](ctx context.Context, tx *Tx, table, parent string, rows []R) (map[place]int64, error) {
	type added struct{ ID, Parent, Position int64 }
	got, ok, err := insert[R, added](ctx, tx, table, rows, "id, "+parent+" AS parent, position")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, courses.ErrPositionTaken
	}
	ids := make(map[place]int64, len(got))
	for _, a := range got {
		ids[place{a.Parent, a.Position}] = a.ID
	}
	return ids, nil
}

// InsertModules implements courses.Tx.
func (t coursesTx) InsertModules(ctx context.Context, list []courses.Module) ([]courses.Module, error) {
	if err := checkModules(list); err != nil {
		return nil, err
	}
	ids, err := insertPlaced(ctx, t.Tx, "ustat_modules", "course_id", moduleRows(list))
	if err != nil {
		return nil, err
	}
	out := make([]courses.Module, len(list))
	for i, m := range list {
		m.ID = courses.ModuleID(ids[place{int64(m.CourseID), int64(m.Position)}])
		out[i] = m
	}
	return out, nil
}

// UpdateModules implements courses.Tx.
func (t coursesTx) UpdateModules(ctx context.Context, list []courses.Module) error {
	if err := checkModules(list); err != nil || len(list) == 0 {
		return err
	}
	return t.Tx.atomically(ctx, func() error {
		return updateRows(ctx, t.Tx, moduleRows(list), courses.ErrModuleNotFound, "title", "description")
	})
}

func lessonRows(list []courses.Lesson) []lessonRow {
	rows := make([]lessonRow, len(list))
	for i, l := range list {
		rows[i] = lessonRow{
			ID: l.ID, ModuleID: l.ModuleID, CourseID: l.CourseID, Position: l.Position, Title: l.Title, Kind: l.Kind, Content: l.Content,
			DurationSeconds: int64(l.Duration / time.Second), FreePreview: l.FreePreview,
		}
	}
	return rows
}

func checkLessons(list []courses.Lesson) error {
	return checkText(len(list), func(i int) []string { return []string{list[i].Title, list[i].Content} })
}

// InsertLessons implements courses.Tx.
func (t coursesTx) InsertLessons(ctx context.Context, list []courses.Lesson) ([]courses.Lesson, error) {
	if err := checkLessons(list); err != nil {
		return nil, err
	}
	ids, err := insertPlaced(ctx, t.Tx, "ustat_lessons", "module_id", lessonRows(list))
	if err != nil {
		return nil, err
	}
	out := make([]courses.Lesson, len(list))
	for i, l := range list {
		l.ID = courses.LessonID(ids[place{int64(l.ModuleID), int64(l.Position)}])
		out[i] = l
	}
	return out, nil
}

// UpdateLessons implements courses.Tx.
func (t coursesTx) UpdateLessons(ctx context.Context, list []courses.Lesson) error {
	if err := checkLessons(list); err != nil || len(list) == 0 {
		return err
	}
	return t.Tx.atomically(ctx, func() error {
		return updateRows(ctx, t.Tx, lessonRows(list), courses.ErrLessonNotFound, "title", "kind", "content", "duration_seconds", "free_preview")
	})
}
