package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

type categoryRow struct {
	bun.BaseModel `bun:"table:ustat_categories"`
	ID            courses.CategoryID `bun:"id,pk,autoincrement"`
	Slug          string             `bun:"slug"`
	Name          string             `bun:"name"`
	ParentID      courses.CategoryID `bun:"parent_id,nullzero"`
	CourseCount   int                `bun:"course_count"`
}

const selectCategories = "SELECT k.id, k.slug, k.name, k.parent_id, p.slug, k.course_count, k.version FROM ustat_categories AS k LEFT JOIN ustat_categories AS p ON p.id = k.parent_id"

func scanCategory(rows *sql.Rows, c *courses.Category) error {
	var parentID sql.NullInt64
	var parent sql.NullString
	err := rows.Scan(&c.ID, &c.Slug, &c.Name, &parentID, &parent, &c.CourseCount, &c.Version)
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

const selectTags = "SELECT id, slug, name, version FROM ustat_tags"

func scanTag(rows *sql.Rows, t *courses.Tag) error {
	return rows.Scan(&t.ID, &t.Slug, &t.Name, &t.Version)
}

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
		c.ID, c.Version = ids[c.Slug], 1
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

// UpdateCategory implements courses.TreeWriter.
func (t coursesTx) UpdateCategory(ctx context.Context, c courses.Category) error {
	if err := checkText(1, func(int) []string { return []string{c.Slug, c.Name} }); err != nil {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_categories SET slug = ?, name = ?, parent_id = ?, version = version + 1"+
		" WHERE id = ? AND NOT EXISTS (SELECT 1 FROM ustat_categories AS o WHERE o.slug = ? AND o.id <> ?)",
		c.Slug, c.Name, nullID(int64(c.ParentID)), c.ID, c.Slug, c.ID)
	return t.named(ctx, n, err, "ustat_categories", int64(c.ID), courses.ErrCategoryNotFound)
}

// named says why a row with a unique slug was not written: it is missing, or
// another has the slug.
func (t coursesTx) named(ctx context.Context, n int64, err error, table string, id int64, missing error) error {
	if t.Tx.db.constraint(err) != "" { // a concurrent writer was faster
		return courses.ErrSlugTaken
	}
	if err != nil || n > 0 {
		return err
	}
	there, err := t.has(ctx, table, id)
	if err == nil && there {
		return courses.ErrSlugTaken
	}
	return cmp.Or(err, missing)
}

// has reports whether a table, named by a constant, has a row.
func (t coursesTx) has(ctx context.Context, table string, id int64) (bool, error) {
	found, err := readAll(ctx, t.Tx.session, "SELECT 1 FROM "+table+" WHERE id = ?", []any{id}, scanOne[int])
	return len(found) > 0, err
}

func nullID(id int64) sql.NullInt64 { return sql.NullInt64{Int64: id, Valid: id != 0} }

// LockTree implements courses.TreeWriter.
func (t coursesTx) LockTree(ctx context.Context) error {
	if t.Tx.db.dialect.TreeLock == "" {
		return nil
	}
	return t.Tx.WriteSQL(ctx, t.Tx.db.dialect.TreeLock)
}

// CategoriesForUpdate implements courses.TreeWriter. The rows are locked beside the
// tree, against whoever writes one without it, but courses may come into them.
func (t coursesTx) CategoriesForUpdate(ctx context.Context) ([]courses.Category, error) {
	if err := t.LockTree(ctx); err != nil {
		return nil, err
	}
	if lock := t.Tx.db.dialect.ForNoKeyUpdate; lock != "" {
		if err := t.Tx.WriteSQL(ctx, "SELECT id FROM ustat_categories ORDER BY id"+lock); err != nil {
			return nil, err
		}
	}
	all, err := t.Categories(ctx, "", courses.MaxCategories+1)
	if err == nil && len(all) > courses.MaxCategories {
		return nil, courses.ErrTooMany.Withf("the tree has more than %d categories", courses.MaxCategories)
	}
	return all, err
}

// shut locks a category that is about to go, so that no course comes into it: a
// course that does holds a lock on the row for its foreign key, and is waited for.
func (t coursesTx) shut(ctx context.Context, id courses.CategoryID) error {
	lock := t.Tx.db.dialect.ForUpdate
	if lock == "" {
		return nil
	}
	return t.Tx.WriteSQL(ctx, "SELECT id FROM ustat_categories WHERE id = ?"+lock, id)
}

// MoveCategory implements courses.TreeWriter.
func (t coursesTx) MoveCategory(ctx context.Context, from, to courses.CategoryID, at time.Time) error {
	if err := t.shut(ctx, from); err != nil {
		return err
	}
	if _, err := t.Tx.rawExec(ctx, "UPDATE ustat_courses SET category_id = ?, updated_at = ?, version = version + 1 WHERE category_id = ?",
		to, core.Time(at), from); err != nil {
		return err
	}
	for _, statement := range [...]string{
		"UPDATE ustat_course_stats SET category_id = ? WHERE category_id = ?",
		"UPDATE ustat_categories SET parent_id = ?, version = version + 1 WHERE parent_id = ?",
	} {
		if _, err := t.Tx.rawExec(ctx, statement, to, from); err != nil {
			return err
		}
	}
	return nil
}

// DeleteCategory implements courses.TreeWriter.
func (t coursesTx) DeleteCategory(ctx context.Context, id courses.CategoryID) error {
	if err := t.shut(ctx, id); err != nil {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_categories WHERE id = ? AND NOT EXISTS (SELECT 1 FROM ustat_courses WHERE category_id = ?)"+
		" AND NOT EXISTS (SELECT 1 FROM ustat_categories AS k WHERE k.parent_id = ?)", id, id, id)
	if err != nil || n > 0 {
		return err
	}
	there, err := t.has(ctx, "ustat_categories", int64(id))
	if err == nil && there {
		return courses.ErrCategoryInUse
	}
	return cmp.Or[error](err, courses.ErrCategoryNotFound)
}

type countRow struct {
	bun.BaseModel `bun:"table:ustat_categories"`
	ID            courses.CategoryID `bun:"id,pk"`
	CourseCount   int                `bun:"course_count"`
}

// RecountCategories implements courses.TreeWriter. The lock comes first, and what is
// counted is read by a statement of its own after it: under READ COMMITTED that one
// sees what the transaction before has committed.
func (t coursesTx) RecountCategories(ctx context.Context) error {
	if err := t.LockTree(ctx); err != nil {
		return err
	}
	own, err := readAll(ctx, t.Tx.session, "SELECT category_id, count(*) FROM ustat_course_stats WHERE status = 'published' AND category_id IS NOT NULL GROUP BY category_id",
		nil, func(rows *sql.Rows, c *countRow) error { return rows.Scan(&c.ID, &c.CourseCount) })
	if err != nil {
		return err
	}
	nodes, err := readAll(ctx, t.Tx.session, "SELECT id, coalesce(parent_id, 0), course_count FROM ustat_categories", nil,
		func(rows *sql.Rows, n *treeNode) error { return rows.Scan(&n.id, &n.parent, &n.stored) })
	if err != nil {
		return err
	}
	return t.writeCounts(ctx, changedCounts(nodes, own))
}

type treeNode struct {
	id, parent     courses.CategoryID
	stored         int
	total, waiting int // courses in it and below it; children that are not summed up
}

// changedCounts sums up courses from the leaves of the tree to its top, each node
// once, and returns the counts that are not the stored ones.
func changedCounts(nodes []treeNode, own []countRow) []countRow {
	at := make(map[courses.CategoryID]*treeNode, len(nodes))
	for i := range nodes {
		at[nodes[i].id] = &nodes[i]
	}
	for _, c := range own {
		if n := at[c.ID]; n != nil {
			n.total = c.CourseCount
		}
	}
	for _, n := range nodes {
		if parent := at[n.parent]; parent != nil {
			parent.waiting++
		}
	}
	for i := range nodes {
		// A leaf goes up, and on as long as it is the last child that was waited for.
		for n := &nodes[i]; n != nil && n.waiting == 0; {
			n.waiting = -1
			parent := at[n.parent]
			if parent != nil {
				parent.total += n.total
				parent.waiting--
			}
			n = parent
		}
	}
	var changed []countRow
	for _, n := range nodes {
		if n.total != n.stored {
			changed = append(changed, countRow{ID: n.id, CourseCount: n.total})
		}
	}
	return changed
}

func (t coursesTx) writeCounts(ctx context.Context, counts []countRow) error {
	for block := range slices.Chunk(counts, blockRows) {
		conn, err := t.Tx.session.conn(ctx)
		if err != nil {
			return err
		}
		if _, err := t.Tx.exec(ctx, t.Tx.db.bun.NewUpdate().Conn(conn).Model(&block).Column("course_count").Bulk()); err != nil {
			return err
		}
	}
	return nil
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
	rows := make([]tagRow, len(tags))
	slugs := make([]string, len(tags))
	for i, tag := range tags {
		rows[i], slugs[i] = tagRow{Slug: tag.Slug, Name: tag.Name}, tag.Slug
	}
	if _, err := addRows(ctx, t.Tx, rows, doNothing); err != nil {
		return nil, err
	}
	return t.TagsBySlug(ctx, slugs)
}

// InsertTag implements courses.TreeWriter.
func (t coursesTx) InsertTag(ctx context.Context, tag courses.Tag) (courses.Tag, error) {
	if err := checkText(1, func(int) []string { return []string{tag.Slug, tag.Name} }); err != nil {
		return courses.Tag{}, err
	}
	ids, err := insertNamed[tagRow, courses.TagID](ctx, t.Tx, "ustat_tags", []tagRow{{Slug: tag.Slug, Name: tag.Name}})
	if err != nil {
		return courses.Tag{}, err
	}
	tag.ID, tag.Version = ids[tag.Slug], 1
	return tag, nil
}

// TagForUpdate implements courses.TreeWriter.
func (t coursesTx) TagForUpdate(ctx context.Context, slug string) (courses.Tag, error) {
	if !core.ValidText(slug) {
		return courses.Tag{}, courses.ErrTagNotFound
	}
	var found []courses.Tag
	err := t.Tx.rawScan(ctx, &found, "SELECT id, slug, name, version FROM ustat_tags WHERE slug = ?"+t.Tx.db.dialect.ForUpdate, slug)
	if err == nil && len(found) == 0 {
		err = courses.ErrTagNotFound
	}
	if err != nil {
		return courses.Tag{}, err
	}
	return found[0], nil
}

// UpdateTag implements courses.TreeWriter.
func (t coursesTx) UpdateTag(ctx context.Context, tag courses.Tag) error {
	if err := checkText(1, func(int) []string { return []string{tag.Slug, tag.Name} }); err != nil {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_tags SET slug = ?, name = ?, version = version + 1"+
		" WHERE id = ? AND NOT EXISTS (SELECT 1 FROM ustat_tags AS o WHERE o.slug = ? AND o.id <> ?)",
		tag.Slug, tag.Name, tag.ID, tag.Slug, tag.ID)
	if err := t.named(ctx, n, err, "ustat_tags", int64(tag.ID), courses.ErrTagNotFound); err != nil {
		return err
	}
	return t.eachTagged(ctx, tag.ID, func(ids []courses.CourseID) error { return t.reindex(ctx, ids) })
}

// DeleteTag implements courses.TreeWriter.
func (t coursesTx) DeleteTag(ctx context.Context, id courses.TagID, at time.Time) error {
	err := t.eachTagged(ctx, id, func(ids []courses.CourseID) error {
		if _, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_course_tags WHERE tag_id = ? AND course_id IN (?)", id, bun.List(ids)); err != nil {
			return err
		}
		if _, err := t.Tx.rawExec(ctx, "UPDATE ustat_courses SET updated_at = ?, version = version + 1 WHERE id IN (?)", core.Time(at), bun.List(ids)); err != nil {
			return err
		}
		return t.reindex(ctx, ids)
	})
	if err != nil {
		return err
	}
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_tags WHERE id = ?", id)
	if err == nil && n == 0 {
		return courses.ErrTagNotFound
	}
	return err
}

// reindexRows is how many courses are indexed anew together; each may have 100 kB.
const reindexRows = 100

// eachTagged calls do with the courses of a tag, block by block.
func (t coursesTx) eachTagged(ctx context.Context, tag courses.TagID, do func(ids []courses.CourseID) error) error {
	for after := courses.CourseID(0); ; {
		ids, err := readAll(ctx, t.Tx.session, "SELECT course_id FROM ustat_course_tags WHERE tag_id = ? AND course_id > ? ORDER BY course_id LIMIT ?",
			[]any{tag, after, reindexRows}, scanOne[courses.CourseID])
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := do(ids); err != nil {
			return err
		}
		after = ids[len(ids)-1]
	}
}

// reindex writes the entries of courses in the full-text index from what is stored.
// They are locked before they are read: so of two tags of a course that are renamed at
// once, and of a tag and the course, the later finds what the earlier has written.
func (t coursesTx) reindex(ctx context.Context, ids []courses.CourseID) error {
	if _, err := t.LockCourses(ctx, ids); err != nil {
		return err
	}
	where, args := in(t.Tx.db, "c.id", ids)
	list, err := t.coursesWhere(ctx, where, args)
	if err != nil {
		return err
	}
	docs := make([]Document, len(list))
	for i, c := range list {
		tags := make([]string, len(c.Tags))
		for k, tag := range c.Tags {
			tags[k] = tag.Name
		}
		docs[i] = newDocument(c, tags)
	}
	return t.Tx.db.dialect.Search.Write(ctx, t.Tx, docs, true)
}
