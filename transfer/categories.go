package transfer

import (
	"context"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

const (
	maxName    = 200 // characters
	parentPage = 1000
)

type category struct{ slug, name, parent string }

const (
	categorySlug = iota
	categoryName
	categoryParent
)

// categories reads categories.csv. A parent may stand below its children, so the
// file is read twice: first its tree alone, to find unknown parents and cycles,
// then its rows. A row whose parent has no id yet is written under the top, and
// put in its place at the end.
type categories struct {
	store courses.Store
	tree  *tree
	late  []courses.Category // with an id, and the parent's slug
}

func newCategories(backend *storage.Backend) *categories {
	return &categories{store: backend.Courses, tree: newTree()}
}

func (t *categories) columns() []column {
	return []column{{"slug", true}, {"name", true}, {"parent", true}}
}

func (t *categories) parse(c *cells) category {
	row := category{slug: c.slug(categorySlug), name: c.title(categoryName, maxName)}
	if row.parent = c.raw(categoryParent); row.parent != "" {
		row.parent = c.reference(categoryParent)
	}
	return row
}

func (t *categories) repeated(r *category, seen *keySet) string {
	if !addKey(seen, r.slug) {
		return "slug"
	}
	return ""
}

func (t *categories) survey(rows []row[category]) {
	for i := range rows {
		t.tree.propose(rows[i].cell.slug, rows[i].cell.parent)
	}
}

// surveyed adds the stored tree below that of the file and judges the rows.
func (t *categories) surveyed(ctx context.Context) error {
	for after := ""; ; {
		page, err := t.store.Categories(ctx, after, parentPage)
		if err != nil {
			return err
		}
		for _, c := range page {
			t.tree.stored(c.Slug, c.Parent, c.ID)
		}
		if len(page) < parentPage {
			break
		}
		after = page[len(page)-1].Slug
	}
	t.tree.judge()
	return nil
}

func (t *categories) plan(ctx context.Context, rows []row[category], refuse refuseFunc) (changes, error) {
	slugs := make([]string, len(rows))
	for i := range rows {
		slugs[i] = rows[i].cell.slug
	}
	found, err := t.store.CategoriesBySlug(ctx, slugs)
	if err != nil {
		return changes{}, err
	}
	stored := indexBy(found, func(c courses.Category) string { return c.Slug })
	var inserts, updates []courses.Category
	for i := range rows {
		r := &rows[i].cell
		if reason := t.tree.refusal(r.slug, r.parent); reason != "" {
			refuse(i, "parent", reason)
			continue
		}
		c, there := stored[r.slug]
		if there && c.Name == r.name && c.Parent == r.parent {
			continue
		}
		c.Slug, c.Name, c.Parent, c.ParentID = r.slug, r.name, r.parent, t.tree.id(r.parent)
		if there {
			updates = append(updates, c)
		} else {
			inserts = append(inserts, c)
		}
	}
	return changes{len(inserts), len(updates), func(ctx context.Context) error {
		return t.write(ctx, inserts, updates)
	}}, nil
}

func (t *categories) write(ctx context.Context, inserts, updates []courses.Category) error {
	var inserted []courses.Category
	err := t.store.Update(ctx, func(ctx context.Context, tx courses.Tx) (err error) {
		if len(inserts) > 0 {
			if inserted, err = tx.InsertCategories(ctx, inserts); err != nil {
				return err
			}
		}
		return updateCategories(ctx, tx, updates)
	})
	if err != nil {
		return err
	}
	for i, c := range inserted {
		t.tree.give(c.Slug, c.ID)
		inserts[i].ID = c.ID
	}
	for _, list := range [...][]courses.Category{inserts, updates} {
		for _, c := range list {
			if c.Parent != "" && c.ParentID == 0 {
				t.late = append(t.late, c)
			}
		}
	}
	return nil
}

func updateCategories(ctx context.Context, tx courses.Tx, list []courses.Category) error {
	for _, c := range list {
		if err := tx.UpdateCategory(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// finish puts the categories in their places, and counts their courses anew, since
// branches may have moved.
func (t *categories) finish(ctx context.Context, event *core.Event) error {
	for len(t.late) > 0 {
		some := t.late[:min(batchRows, len(t.late))]
		t.late = t.late[len(some):]
		for i := range some {
			some[i].ParentID = t.tree.id(some[i].Parent)
		}
		err := t.store.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
			return updateCategories(ctx, tx, some)
		})
		if err != nil {
			return err
		}
	}
	if event == nil {
		return nil
	}
	return recount(ctx, t.store, event)
}
