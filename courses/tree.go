package courses

import (
	"context"
	"strconv"

	"github.com/ustat/ustat/core"
)

// The methods of this file are for admins; to others they are
// core.ErrUnauthenticated or core.ErrForbidden. Each leaves a row in the audit log.

// CreateCategory adds a category. A slug that is taken, given or made, is
// ErrSlugTaken, and more than MaxCategories are ErrTooMany. One deeper than MaxDepth
// is a core.ErrInvalid naming "parent".
func (s *Service) CreateCategory(ctx context.Context, by core.Actor, in NewCategory) (Category, error) {
	ctx = core.WithOperation(ctx, "courses.CreateCategory")
	if err := by.RequireAdmin(); err != nil {
		return Category{}, err
	}
	in.Name = line(in.Name)
	bad := s.check(in)
	in.Slug = bad.made(in.Slug, in.Name)
	if _, err := s.category(ctx, "parent", &in.Parent, bad); err != nil {
		return Category{}, err
	}
	if err := bad.err(); err != nil {
		return Category{}, err
	}
	var made Category
	err := s.changeTree(ctx, by, func(ctx context.Context, tx Tx, t tree, trail trail) error {
		if len(t) >= MaxCategories {
			return tooMany("categories", MaxCategories, len(t))
		}
		parent, err := t.parent(in.Parent)
		if err == nil {
			err = tooDeep("parent", t.depth(parent)+1)
		}
		if err != nil {
			return err
		}
		if _, err := tx.InsertCategories(ctx, []Category{{Slug: in.Slug, Name: in.Name, ParentID: parent.ID}}); err != nil {
			return err
		}
		made, err = trail.category(ctx, tx, "courses.category_created", in.Slug, "")
		return err
	})
	if err != nil {
		return Category{}, err
	}
	return made, nil
}

// EditCategory changes what is given of a category. One below itself is
// ErrCategoryCycle, one that comes to be deeper than MaxDepth, or has such below it, a
// core.ErrInvalid naming "parent".
func (s *Service) EditCategory(ctx context.Context, by core.Actor, slug string, in CategoryEdit) (Category, error) {
	ctx = core.WithOperation(ctx, "courses.EditCategory")
	if err := by.RequireAdmin(); err != nil {
		return Category{}, err
	}
	in.Name = linePtr(in.Name)
	bad := s.check(in)
	if _, err := s.category(ctx, "parent", in.Parent, bad); err != nil {
		return Category{}, err
	}
	if err := bad.err(); err != nil {
		return Category{}, err
	}
	var edited Category
	err := s.changeTree(ctx, by, func(ctx context.Context, tx Tx, t tree, trail trail) error {
		before, ok := t[slug]
		if !ok {
			return ErrCategoryNotFound
		}
		if err := same(in.IfVersion, before.Version); err != nil {
			return err
		}
		c := before
		if in.Parent != nil && *in.Parent != c.Parent {
			parent, err := t.above(*in.Parent, c)
			if err != nil {
				return err
			}
			c.ParentID, c.Parent = parent.ID, parent.Slug
		}
		set(&c.Name, in.Name)
		set(&c.Slug, in.Slug)
		if edited = c; c == before {
			return nil
		}
		if err := tx.UpdateCategory(ctx, c); err != nil {
			return err
		}
		if c.ParentID != before.ParentID {
			if err := tx.RecountCategories(ctx); err != nil {
				return err
			}
		}
		var err error
		edited, err = trail.category(ctx, tx, EventCategoryUpdated, c.Slug, before.Slug)
		return err
	})
	if err != nil {
		return Category{}, err
	}
	return edited, nil
}

// DeleteCategory removes a category. One that has courses or categories below it is
// ErrCategoryInUse, unless moveTo names the category that gets them: another one,
// which is not below it, and below which they are not deeper than MaxDepth (else
// core.ErrInvalid naming "move_to").
func (s *Service) DeleteCategory(ctx context.Context, by core.Actor, slug, moveTo string) error {
	ctx = core.WithOperation(ctx, "courses.DeleteCategory")
	if err := by.RequireAdmin(); err != nil {
		return err
	}
	return s.changeTree(ctx, by, func(ctx context.Context, tx Tx, t tree, trail trail) error {
		c, ok := t[slug]
		if !ok {
			return ErrCategoryNotFound
		}
		if moveTo != "" {
			to, ok := t[moveTo]
			switch {
			case !ok:
				return core.Invalid("move_to", "unknown", "", moveTo, "there is no such category")
			case t.below(to, c):
				return core.Invalid("move_to", "below", "", moveTo, "this is the category itself, or below it")
			}
			if err := tooDeep("move_to", t.depth(to)+t.height(c)); err != nil {
				return err
			}
			if err := tx.MoveCategory(ctx, c.ID, to.ID, trail.at); err != nil {
				return err
			}
		}
		if err := tx.DeleteCategory(ctx, c.ID); err != nil {
			return err
		}
		if moveTo != "" {
			if err := tx.RecountCategories(ctx); err != nil {
				return err
			}
		}
		return trail.shelf(ctx, tx, EventCategoryDeleted, categorySubject(c), ShelfChanged{Slug: c.Slug, Parent: c.Parent, MovedTo: moveTo})
	})
}

// tree is all categories by slug.
type tree map[string]Category

// changeTree runs fn under the lock of the tree.
func (s *Service) changeTree(ctx context.Context, by core.Actor, fn func(ctx context.Context, tx Tx, t tree, trail trail) error) error {
	trail := s.trail(by)
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		all, err := tx.CategoriesForUpdate(ctx)
		if err != nil {
			return err
		}
		t := make(tree, len(all))
		for _, c := range all {
			t[c.Slug] = c
		}
		return fn(ctx, tx, t, trail)
	})
}

// category reads a category as it is stored after a change, and tells of it.
func (t trail) category(ctx context.Context, tx Tx, event, slug, was string) (Category, error) {
	stored, err := tx.CategoriesBySlug(ctx, []string{slug})
	if err == nil && len(stored) == 0 {
		err = ErrCategoryNotFound
	}
	if err != nil {
		return Category{}, err
	}
	detail := ShelfChanged{Slug: slug, Parent: stored[0].Parent}
	if was != slug {
		detail.Was = was
	}
	return stored[0], t.shelf(ctx, tx, event, categorySubject(stored[0]), detail)
}

func categorySubject(c Category) string { return "category/" + strconv.FormatInt(int64(c.ID), 10) }

// parent returns the category that is to be above another; an empty slug is the top.
func (t tree) parent(slug string) (Category, error) {
	c, ok := t[slug]
	if !ok && slug != "" {
		return c, core.Invalid("parent", "unknown", "", slug, "there is no such category")
	}
	return c, nil
}

// above returns the category of that slug, which is to come above c with all below it.
func (t tree) above(slug string, c Category) (Category, error) {
	parent, err := t.parent(slug)
	switch {
	case err != nil:
		return parent, err
	case t.below(parent, c):
		return parent, ErrCategoryCycle
	}
	return parent, tooDeep("parent", t.depth(parent)+1+t.height(c))
}

// below reports whether c is top or below it.
func (t tree) below(c, top Category) bool {
	_, found := t.steps(c, top.ID, len(t)) // which is as deep as a tree can be
	return found
}

// steps returns how many steps up it is from c to a category, of which 0 is above the
// top, and whether it is among the first so many.
func (t tree) steps(c Category, to CategoryID, most int) (n int, found bool) {
	for ; n <= most; n++ {
		if c.ID == to {
			return n, true
		}
		if c.ID == 0 {
			return n, false
		}
		c = t[c.Parent]
	}
	return n, false
}

// depth returns how deep a category is: 1 at the top, 0 above it, and at most one
// more than may be.
func (t tree) depth(c Category) int {
	n, _ := t.steps(c, 0, MaxDepth)
	return n
}

// height returns how many categories are below one another below c, at most one more
// than may be.
func (t tree) height(c Category) int {
	most := 0
	for _, other := range t {
		if n, below := t.steps(other, c.ID, MaxDepth); below {
			most = max(most, n)
		}
	}
	return most
}

// tooDeep refuses a depth that no category may have.
func tooDeep(field string, depth int) error {
	if depth <= MaxDepth {
		return nil
	}
	return core.Invalid(field, "depth", strconv.Itoa(MaxDepth), strconv.Itoa(depth), "categories would be deeper below one another than may be")
}

// tooMany says that there is no room for one more.
func tooMany(field string, most, there int) error {
	return ErrTooMany.With(core.Invalid(field, "max", strconv.Itoa(most), strconv.Itoa(there+1), "there are as many as there may be").Violations...)
}

// Tag returns a tag by slug, or ErrTagNotFound.
func (s *Service) Tag(ctx context.Context, slug string) (Tag, error) {
	ctx = core.WithOperation(ctx, "courses.Tag")
	t, err := s.tagBySlug(ctx, slug)
	if err != nil {
		return Tag{}, err
	}
	p := s.speaker(ctx)
	s.addTag(p, &t)
	err = s.speak(ctx, p)
	return t, err
}

func (s *Service) tagBySlug(ctx context.Context, slug string) (Tag, error) {
	found, err := s.store.TagsBySlug(ctx, []string{slug})
	if err == nil && len(found) == 0 {
		err = ErrTagNotFound
	}
	if err != nil {
		return Tag{}, err
	}
	return found[0], nil
}

// CreateTag adds a tag. A slug that is taken, given or made, is ErrSlugTaken.
func (s *Service) CreateTag(ctx context.Context, by core.Actor, in NewTag) (Tag, error) {
	ctx = core.WithOperation(ctx, "courses.CreateTag")
	if err := by.RequireAdmin(); err != nil {
		return Tag{}, err
	}
	in.Name = line(in.Name)
	bad := s.check(in)
	in.Slug = bad.made(in.Slug, in.Name)
	if err := bad.err(); err != nil {
		return Tag{}, err
	}
	trail := s.trail(by)
	var made Tag
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		if made, err = tx.InsertTag(ctx, Tag{Slug: in.Slug, Name: in.Name}); err != nil {
			return err
		}
		return trail.shelf(ctx, tx, "courses.tag_created", tagSubject(made), ShelfChanged{Slug: made.Slug})
	})
	if err != nil {
		return Tag{}, err
	}
	return made, nil
}

func tagSubject(t Tag) string { return "tag/" + strconv.FormatInt(int64(t.ID), 10) }

// EditTag changes what is given of a tag. Searches find its courses by its new name
// from then on.
func (s *Service) EditTag(ctx context.Context, by core.Actor, slug string, in TagEdit) (Tag, error) {
	ctx = core.WithOperation(ctx, "courses.EditTag")
	if err := by.RequireAdmin(); err != nil {
		return Tag{}, err
	}
	in.Name = linePtr(in.Name)
	if err := s.check(in).err(); err != nil {
		return Tag{}, err
	}
	trail := s.trail(by)
	var edited Tag
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		t, err := tx.TagForUpdate(ctx, slug)
		if err != nil {
			return err
		}
		if err := same(in.IfVersion, t.Version); err != nil {
			return err
		}
		before := t
		set(&t.Name, in.Name)
		set(&t.Slug, in.Slug)
		if edited = t; t == before {
			return nil
		}
		if err := tx.UpdateTag(ctx, t); err != nil {
			return err
		}
		edited.Version++
		detail := ShelfChanged{Slug: t.Slug}
		if t.Slug != before.Slug {
			detail.Was = before.Slug
		}
		return trail.shelf(ctx, tx, EventTagUpdated, tagSubject(t), detail)
	})
	if err != nil {
		return Tag{}, err
	}
	return edited, nil
}

// DeleteTag takes a tag off all courses and removes it.
func (s *Service) DeleteTag(ctx context.Context, by core.Actor, slug string) error {
	ctx = core.WithOperation(ctx, "courses.DeleteTag")
	if err := by.RequireAdmin(); err != nil {
		return err
	}
	trail := s.trail(by)
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		t, err := tx.TagForUpdate(ctx, slug)
		if err != nil {
			return err
		}
		if err := tx.DeleteTag(ctx, t.ID, trail.at); err != nil {
			return err
		}
		return trail.shelf(ctx, tx, EventTagDeleted, tagSubject(t), ShelfChanged{Slug: t.Slug})
	})
}
