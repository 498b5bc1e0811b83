package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

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
	TextPolicy    int              `bun:"text_policy"`
	Rejection     string           `bun:"rejection"`
	Capacity      int              `bun:"capacity"`
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
		TextPolicy: c.TextPolicy, Rejection: c.Rejection, Capacity: c.Capacity,
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
		return []string{c.Slug, c.Title, c.Description, c.Requirements, c.Language, c.Price.Currency, c.Rejection}
	})
}

// prepare returns what is stored of courses and indexed of them.
func (t coursesTx) prepare(ctx context.Context, list []courses.Course) ([]courseWriteRow, []Document, error) {
	names, err := t.tagNames(ctx, list)
	if err != nil {
		return nil, nil, err
	}
	rows, docs := make([]courseWriteRow, len(list)), make([]Document, len(list))
	text, beside := t.Tx.db.dialect.Search.(TextColumns)
	for i, c := range list {
		tags := make([]string, len(c.Tags))
		for k, tag := range c.Tags {
			tags[k] = names[tag.ID]
		}
		docs[i] = newDocument(c, tags)
		rows[i] = newCourseWriteRow(c, docs[i])
		if beside {
			rows[i].FTS, rows[i].FTSHead = text.Columns(docs[i])
		}
	}
	return rows, docs, nil
}

// tagNames returns the names that the tags of courses have now. Tags keep them until
// the transaction ends: whoever renames one meanwhile waits, and then finds the courses
// and indexes them anew.
func (t coursesTx) tagNames(ctx context.Context, list []courses.Course) (map[courses.TagID]string, error) {
	names := map[courses.TagID]string{}
	for _, c := range list {
		for _, tag := range c.Tags {
			names[tag.ID] = ""
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	where, args := in(t.Tx.db, "id", slices.Collect(maps.Keys(names)))
	found, err := readAll(ctx, t.Tx.session, "SELECT id, name FROM ustat_tags WHERE "+where+" ORDER BY id"+t.Tx.db.dialect.ForShare, args,
		func(rows *sql.Rows, tag *courses.Tag) error { return rows.Scan(&tag.ID, &tag.Name) })
	for _, tag := range found {
		names[tag.ID] = tag.Name
	}
	return names, err
}

// LockCourses implements courses.CourseWriter.
func (t coursesTx) LockCourses(ctx context.Context, ids []courses.CourseID) (map[courses.CourseID]int64, error) {
	return versions(ctx, t.Tx.session, "ustat_courses", ids, t.Tx.db.dialect.ForUpdate)
}

// InsertCourses implements courses.Tx.
func (t coursesTx) InsertCourses(ctx context.Context, list []courses.Course) ([]courses.Course, error) {
	if err := checkCourses(list); err != nil || len(list) == 0 {
		return nil, err
	}
	rows, docs, err := t.prepare(ctx, list)
	if err != nil {
		return nil, err
	}
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
		if err := t.checkOldSlugs(ctx, list); err != nil {
			return err
		}
		out = make([]courses.Course, len(list))
		stats := make([]statsRow, len(list))
		for i, c := range list {
			c.ID, c.Version = ids[c.Slug], 1
			rows[i].ID, docs[i].ID, out[i] = c.ID, c.ID, c
			stats[i] = statsRow{CourseID: c.ID, Status: c.Status, CategoryID: rows[i].CategoryID, TeacherID: c.Teacher.ID, Lang: rows[i].Lang}
		}
		if _, err := addRows(ctx, t.Tx, stats, ""); err != nil {
			return err
		}
		return t.writeTagsAndText(ctx, out, rows, docs, false)
	}
	if err := t.Tx.atomically(ctx, write); err != nil {
		return nil, err
	}
	return out, nil
}

// checkOldSlugs refuses the slugs that other courses once had.
//
// It comes after the courses were written, which makes it safe under READ COMMITTED:
// whoever takes a slug that another transaction is just leaving waits for that one
// at the unique key, and this statement, being younger than the wait, sees the old
// slug that it has left behind.
func (t coursesTx) checkOldSlugs(ctx context.Context, list []courses.Course) error {
	slugs := make([]string, len(list))
	own := make(map[string]courses.CourseID, len(list))
	for i, c := range list {
		slugs[i], own[c.Slug] = c.Slug, c.ID
	}
	var old []oldSlugRow
	if err := t.Tx.rawScan(ctx, &old, "SELECT slug, course_id FROM ustat_course_slugs WHERE slug IN (?)", bun.List(slugs)); err != nil {
		return err
	}
	for _, o := range old {
		if own[o.Slug] != o.CourseID {
			return courses.ErrSlugTaken
		}
	}
	return nil
}

type oldSlugRow struct {
	bun.BaseModel `bun:"table:ustat_course_slugs"`
	Slug          string           `bun:"slug"`
	CourseID      courses.CourseID `bun:"course_id"`
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
	if _, err := addRows(ctx, t.Tx, tags, ""); err != nil {
		return err
	}
	if _, beside := t.Tx.db.dialect.Search.(TextColumns); beside {
		return nil // they were written with the courses
	}
	return t.Tx.db.dialect.Search.Write(ctx, t.Tx, docs, old)
}

// UpdateCourses implements courses.Tx.
func (t coursesTx) UpdateCourses(ctx context.Context, list []courses.Course) error {
	if err := checkCourses(list); err != nil || len(list) == 0 {
		return err
	}
	list, renamed, left, err := t.lockCourses(ctx, list)
	if err != nil {
		return err
	}
	ids := make([]courses.CourseID, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	rows, docs, err := t.prepare(ctx, list)
	if err != nil {
		return err
	}
	return t.Tx.atomically(ctx, func() error {
		if err := t.checkSlugs(ctx, renamed); err != nil {
			return err
		}
		set := []string{
			"slug", "title", "description", "requirements", "text_policy", "language", "lang", "price_minor", "currency", "status", "rejection", "capacity",
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
		if err := t.keepOldSlugs(ctx, renamed, left); err != nil {
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

// lockCourses locks stored courses. It returns list with the stored time where none
// is given, those of it whose slug changes, and the slugs that these leave
// and keep.
func (t coursesTx) lockCourses(ctx context.Context, list []courses.Course) (all, renamed []courses.Course, left []oldSlugRow, err error) {
	ids := make([]courses.CourseID, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	var stored []struct {
		ID        courses.CourseID
		Slug      string
		CreatedAt time.Time
		Public    bool // now or once
	}
	if err := t.Tx.rawScan(ctx, &stored, "SELECT id, slug, created_at, (status = 'published' OR published_at IS NOT NULL) AS public FROM ustat_courses WHERE id IN (?) ORDER BY id"+t.Tx.db.dialect.ForUpdate, bun.List(ids)); err != nil {
		return nil, nil, nil, err
	}
	at := make(map[courses.CourseID]int, len(stored))
	for i, s := range stored {
		at[s.ID] = i
	}
	all = slices.Clone(list)
	for i := range all {
		c := &all[i]
		place, there := at[c.ID]
		if !there {
			return nil, nil, nil, courses.ErrCourseNotFound
		}
		if c.CreatedAt.IsZero() {
			c.CreatedAt = stored[place].CreatedAt
		}
		if c.Slug != stored[place].Slug {
			renamed = append(renamed, *c)
			if stored[place].Public {
				left = append(left, oldSlugRow{Slug: stored[place].Slug, CourseID: c.ID})
			}
		}
	}
	return all, renamed, left, nil
}

// keepOldSlugs keeps the slugs that renamed courses leave for them, for ever, as many
// as may be, and refuses new ones that others left.
func (t coursesTx) keepOldSlugs(ctx context.Context, renamed []courses.Course, left []oldSlugRow) error {
	if len(renamed) == 0 {
		return nil
	}
	if len(left) > 0 {
		// A course that had its slug before has it there already.
		if _, err := addRows(ctx, t.Tx, left, doNothing); err != nil {
			return err
		}
	}
	if err := t.countOldSlugs(ctx, left); err != nil {
		return err
	}
	return t.checkOldSlugs(ctx, renamed)
}

// countOldSlugs refuses more old slugs of a course than it may keep.
func (t coursesTx) countOldSlugs(ctx context.Context, left []oldSlugRow) error {
	if len(left) == 0 {
		return nil
	}
	ids := make([]courses.CourseID, len(left))
	for i, row := range left {
		ids[i] = row.CourseID
	}
	var most []int
	if err := t.Tx.rawScan(ctx, &most, "SELECT count(*) FROM ustat_course_slugs AS o JOIN ustat_courses AS c ON c.id = o.course_id AND c.slug <> o.slug"+
		" WHERE o.course_id IN (?) GROUP BY o.course_id ORDER BY 1 DESC LIMIT 1", bun.List(ids)); err != nil {
		return err
	}
	if len(most) > 0 && most[0] > courses.MaxOldSlugs {
		return courses.ErrTooMany.With(core.Invalid("slug", "max", strconv.Itoa(courses.MaxOldSlugs), strconv.Itoa(most[0]),
			"the course would keep more old slugs than it may").Violations...)
	}
	return nil
}

// DeleteCourse implements courses.CourseWriter.
func (t coursesTx) DeleteCourse(ctx context.Context, id courses.CourseID) error {
	for _, table := range [...]string{"ustat_lessons", "ustat_modules", "ustat_course_tags", "ustat_course_slugs", "ustat_course_stats", "ustat_prerequisites", "ustat_bookmarks"} {
		if _, err := t.Tx.rawExec(ctx, "DELETE FROM "+table+" WHERE course_id = ?", id); err != nil {
			return inUse(err)
		}
	}
	if err := t.Tx.db.dialect.Search.Delete(ctx, t.Tx, id); err != nil {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_courses WHERE id = ?", id)
	if err == nil && n == 0 {
		return courses.ErrCourseNotFound
	}
	return inUse(err)
}

// inUse says what it means that the database refuses to delete a row.
func inUse(err error) error {
	if errors.Is(err, core.ErrInvalid) {
		return courses.ErrCourseInUse.Because(err)
	}
	return err
}

// CourseForUpdate implements courses.CourseWriter. The row is locked before it is
// read with what belongs to it, so that all of it is as the last writer left it.
func (t coursesTx) CourseForUpdate(ctx context.Context, slug string) (courses.Course, error) {
	id, err := t.lockCourse(ctx, slug)
	if err != nil {
		return courses.Course{}, err
	}
	found, err := t.coursesWhere(ctx, "c.id = ?", []any{id})
	if err == nil && len(found) == 0 {
		err = courses.ErrCourseNotFound
	}
	if err != nil {
		return courses.Course{}, err
	}
	return found[0], nil
}

// idBySlug is the id of the course that has a slug, or had it, which is given twice.
const idBySlug = "coalesce((SELECT id FROM ustat_courses WHERE slug = ?), (SELECT course_id FROM ustat_course_slugs WHERE slug = ?))"

// lockCourse locks the course that has a slug, or had it.
func (t coursesTx) lockCourse(ctx context.Context, slug string) (courses.CourseID, error) {
	if !core.ValidText(slug) {
		return 0, courses.ErrCourseNotFound
	}
	ids, err := readAll(ctx, t.Tx.session, "SELECT id FROM ustat_courses WHERE id = "+idBySlug+t.Tx.db.dialect.ForUpdate, []any{slug, slug}, scanOne[courses.CourseID])
	if err != nil {
		return 0, err
	}
	if len(ids) == 0 {
		return 0, courses.ErrCourseNotFound
	}
	return ids[0], nil
}

// LockTeachers implements courses.CourseWriter.
func (t coursesTx) LockTeachers(ctx context.Context, ids []core.UserID) (map[core.UserID]courses.Standing, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	standings := make(map[core.UserID]courses.Standing, len(ids))
	for _, id := range ids { // users are never removed: another store holds those who are not here
		standings[id] = courses.Standing{Role: core.Teacher, Active: true}
	}
	type user struct {
		id core.UserID
		courses.Standing
	}
	where, args := in(t.Tx.db, "id", ids)
	found, err := readAll(ctx, t.Tx.session, "SELECT id, role, active FROM ustat_users WHERE "+where+" ORDER BY id"+t.Tx.db.dialect.ForShare, args,
		func(rows *sql.Rows, u *user) error { return rows.Scan(&u.id, &u.Role, &u.Active) })
	for _, u := range found {
		standings[u.id] = u.Standing
	}
	return standings, err
}

// checkSlugs refuses slugs that other courses have, before a statement meets them,
// after which PostgreSQL would refuse all others.
func (t coursesTx) checkSlugs(ctx context.Context, list []courses.Course) error {
	if len(list) == 0 {
		return nil
	}
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

// updateRows writes the columns of rows by primary key, and their next version, one
// statement a block.
func updateRows[R any](ctx context.Context, tx *Tx, rows []R, missing error, columns ...string) error {
	if len(rows) == 1 {
		if text, args, ok := tx.db.updateText(rows[0], columns); ok {
			n, err := tx.keptExec(ctx, text, args...)
			return orMissing(n, err, missing)
		}
	}
	for start := 0; start < len(rows); start += blockRows {
		block := rows[start:min(start+blockRows, len(rows))]
		conn, err := tx.session.conn(ctx)
		if err != nil {
			return err
		}
		n, err := tx.exec(ctx, tx.db.bun.NewUpdate().Conn(conn).Model(&block).Column(columns...).Bulk().
			Set("version = ?TableAlias.version + 1"))
		if err != nil {
			return err
		}
		if int(n) < len(block) {
			return missing
		}
	}
	return nil
}
