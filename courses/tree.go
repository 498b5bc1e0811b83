package courses

import (
	"context"
	"strconv"

	"github.com/ustat/ustat/core"
)

// The methods of this file are for admins; to others they are
// core.ErrUnauthenticated or core.ErrForbidden. Each leaves a row in the audit log.

// CreateCategory adds a category. A slug that is taken, given or made, is
// ErrSlugTaken, and more than MaxCategories are ErrTooMany.
func (s *Service) CreateCategory(ctx context.Context, by core.Actor, in NewCategory) (Category, error) {
	ctx = core.WithOperation(ctx, "courses.CreateCategory")
	if err := adminsOnly(by); err != nil {
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
	return s.changeTree(ctx, by, "courses.category_created", func(ctx context.Context, tx Tx, t tree) (Category, error) {
		if len(t) >= MaxCategories {
			return Category{}, tooMany("categories", MaxCategories, len(t))
		}
		parent, err := t.parent(in.Parent)
		if err != nil {
			return Category{}, err
		}
		made, err := tx.InsertCategories(ctx, []Category{{Slug: in.Slug, Name: in.Name, ParentID: parent.ID}})
		if err != nil {
			return Category{}, err
		}
		return made[0], nil
	})
}

// EditCategory changes what is given of a category. One below itself is
// ErrCategoryCycle.
func (s *Service) EditCategory(ctx context.Context, by core.Actor, slug string, in CategoryEdit) (Category, error) {
	ctx = core.WithOperation(ctx, "courses.EditCategory")
	if err := adminsOnly(by); err != nil {
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
	return s.changeTree(ctx, by, "courses.category_updated", func(ctx context.Context, tx Tx, t tree) (Category, error) {
		c, ok := t[slug]
		if !ok {
			return Category{}, ErrCategoryNotFound
		}
		if err := same(in.IfVersion, c.Version); err != nil {
			return Category{}, err
		}
		moved := in.Parent != nil && *in.Parent != c.Parent
		if moved {
			parent, err := t.parent(*in.Parent)
			if err != nil {
				return Category{}, err
			}
			if t.below(parent, c) {
				return Category{}, ErrCategoryCycle
			}
			c.ParentID = parent.ID
		}
		set(&c.Name, in.Name)
		set(&c.Slug, in.Slug)
		if err := tx.UpdateCategory(ctx, c); err != nil {
			return Category{}, err
		}
		if moved {
			return c, tx.RecountCategories(ctx)
		}
		return c, nil
	})
}

// DeleteCategory removes a category. One that has courses or categories below it is
// ErrCategoryInUse, unless moveTo names the category that gets them: another one,
// which is not below it (else core.ErrInvalid naming "move_to").
func (s *Service) DeleteCategory(ctx context.Context, by core.Actor, slug, moveTo string) error {
	ctx = core.WithOperation(ctx, "courses.DeleteCategory")
	if err := adminsOnly(by); err != nil {
		return err
	}
	_, err := s.changeTree(ctx, by, "courses.category_deleted", func(ctx context.Context, tx Tx, t tree) (Category, error) {
		c, ok := t[slug]
		if !ok {
			return Category{}, ErrCategoryNotFound
		}
		if moveTo != "" {
			to, ok := t[moveTo]
			switch {
			case !ok:
				return c, core.Invalid("move_to", "unknown", "", moveTo, "there is no such category")
			case t.below(to, c):
				return c, core.Invalid("move_to", "below", "", moveTo, "this is the category itself, or below it")
			}
			if err := tx.MoveCategory(ctx, c.ID, to.ID); err != nil {
				return c, err
			}
		}
		if err := tx.DeleteCategory(ctx, c.ID); err != nil {
			return c, err
		}
		if moveTo != "" {
			return c, tx.RecountCategories(ctx)
		}
		return c, nil
	})
	return err
}

// tree is all categories by slug.
type tree map[string]Category

// changeTree runs fn under the lock of the tree and returns its category as it is
// stored then.
func (s *Service) changeTree(ctx context.Context, by core.Actor, action string,
	fn func(ctx context.Context, tx Tx, t tree) (Category, error),
) (Category, error) {
	var changed Category
	trail := s.trail(by)
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		all, err := tx.CategoriesForUpdate(ctx)
		if err != nil {
			return err
		}
		t := make(tree, len(all))
		for _, c := range all {
			t[c.Slug] = c
		}
		c, err := fn(ctx, tx, t)
		if err != nil {
			return err
		}
		stored, err := tx.CategoriesBySlug(ctx, []string{c.Slug})
		if err != nil {
			return err
		}
		if len(stored) > 0 {
			c = stored[0]
		}
		changed = c
		return trail.audit(ctx, tx, action, "category/"+strconv.FormatInt(int64(c.ID), 10), map[string]any{"slug": c.Slug, "parent": c.Parent})
	})
	return changed, err
}

// parent returns the category that is to be above another; an empty slug is the top.
func (t tree) parent(slug string) (Category, error) {
	c, ok := t[slug]
	if !ok && slug != "" {
		return c, core.Invalid("parent", "unknown", "", slug, "there is no such category")
	}
	return c, nil
}

// below reports whether c is top or below it.
func (t tree) below(c, top Category) bool {
	for range len(t) { // which is as deep as a tree can be
		if c.ID == top.ID {
			return true
		}
		c = t[c.Parent]
		if c.ID == 0 {
			return false
		}
	}
	return false
}

// tooMany says that there is no room for one more.
func tooMany(field string, most, there int) error {
	return ErrTooMany.With(core.Invalid(field, "max", strconv.Itoa(most), strconv.Itoa(there+1), "there are as many as there may be").Violations...)
}

// Tag returns a tag by slug, or ErrTagNotFound.
func (s *Service) Tag(ctx context.Context, slug string) (Tag, error) {
	ctx = core.WithOperation(ctx, "courses.Tag")
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
	if err := adminsOnly(by); err != nil {
		return Tag{}, err
	}
	in.Name = line(in.Name)
	bad := s.check(in)
	in.Slug = bad.made(in.Slug, in.Name)
	if err := bad.err(); err != nil {
		return Tag{}, err
	}
	return s.changeTag(ctx, by, "courses.tag_created", func(ctx context.Context, tx Tx) (Tag, error) {
		return tx.InsertTag(ctx, Tag{Slug: in.Slug, Name: in.Name})
	})
}

// EditTag changes what is given of a tag. Searches find its courses by its new name
// from then on.
func (s *Service) EditTag(ctx context.Context, by core.Actor, slug string, in TagEdit) (Tag, error) {
	ctx = core.WithOperation(ctx, "courses.EditTag")
	if err := adminsOnly(by); err != nil {
		return Tag{}, err
	}
	in.Name = linePtr(in.Name)
	if err := s.check(in).err(); err != nil {
		return Tag{}, err
	}
	return s.changeTag(ctx, by, "courses.tag_updated", func(ctx context.Context, tx Tx) (Tag, error) {
		t, err := tx.TagForUpdate(ctx, slug)
		if err != nil {
			return Tag{}, err
		}
		if err := same(in.IfVersion, t.Version); err != nil {
			return Tag{}, err
		}
		set(&t.Name, in.Name)
		set(&t.Slug, in.Slug)
		err = tx.UpdateTag(ctx, t)
		t.Version++
		return t, err
	})
}

// DeleteTag takes a tag off all courses and removes it.
func (s *Service) DeleteTag(ctx context.Context, by core.Actor, slug string) error {
	ctx = core.WithOperation(ctx, "courses.DeleteTag")
	if err := adminsOnly(by); err != nil {
		return err
	}
	_, err := s.changeTag(ctx, by, "courses.tag_deleted", func(ctx context.Context, tx Tx) (Tag, error) {
		t, err := tx.TagForUpdate(ctx, slug)
		if err != nil {
			return Tag{}, err
		}
		return t, tx.DeleteTag(ctx, t.ID)
	})
	return err
}

func (s *Service) changeTag(ctx context.Context, by core.Actor, action string, fn func(ctx context.Context, tx Tx) (Tag, error)) (Tag, error) {
	var changed Tag
	trail := s.trail(by)
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		t, err := fn(ctx, tx)
		if err != nil {
			return err
		}
		changed = t
		return trail.audit(ctx, tx, action, "tag/"+strconv.FormatInt(int64(t.ID), 10), map[string]any{"slug": t.Slug, "name": t.Name})
	})
	return changed, err
}
