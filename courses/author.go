package courses

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// Create adds a draft. A teacher creates their own; a producer names a teacher
// linked to them; an admin names anyone who may teach, or nobody for themselves. For
// a teacher outside that it is core.ErrForbidden.
//
// A slug that is given and taken is ErrSlugTaken; one that is made from the title
// gets a number where it must. With a Key, the same input again gives the course
// that the first call made, and another input is core.ErrKeyReused.
func (s *Service) Create(ctx context.Context, by core.Actor, in NewCourse) (Course, error) {
	ctx = core.WithOperation(ctx, "courses.Create")
	switch {
	case by.IsAnonymous():
		return Course{}, core.ErrUnauthenticated
	case by.Role.Rank() < core.Teacher.Rank():
		return Course{}, core.ErrForbidden
	}
	key := core.IdempotencyKey{
		Scope: "courses.create/" + strconv.FormatInt(int64(by.UserID), 10), Key: in.Key, Request: core.RequestHash(in), At: s.clock.Now(),
	}
	may, err := s.scope(ctx, by)
	if err != nil {
		return Course{}, err
	}
	in.Title, in.Teacher = line(in.Title), line(in.Teacher)
	bad := s.check(in)
	teacher, err := s.newTeacher(ctx, by, may, in.Teacher, bad)
	if err != nil {
		return Course{}, err
	}
	change, err := s.resolve(ctx, in.edit(), bad)
	if err != nil {
		return Course{}, err
	}
	var made Course
	t := s.trail(by)
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		made, err = core.Once(ctx, tx, key, func() (Course, error) {
			c := Course{Status: Draft, Teacher: Teacher{ID: teacher.ID}, CreatedAt: t.at, UpdatedAt: t.at}
			change.apply(&c)
			if c, err = insertFree(ctx, tx, c); err != nil {
				return Course{}, err
			}
			if err := fault.Hit("courses.create.after_insert"); err != nil {
				return Course{}, err
			}
			return c, t.changed(ctx, tx, EventCreated, &c, Changed{}, false)
		})
		return err
	})
	if err != nil {
		return Course{}, err
	}
	return s.answer(ctx, made)
}

// newTeacher returns who teaches the course that the actor creates.
func (s *Service) newTeacher(ctx context.Context, by core.Actor, may scope, username string, bad *checks) (accounts.User, error) {
	if username != "" {
		u, err := s.teacher(ctx, username, bad)
		if err == nil && u.ID != 0 && !may.edits(u.ID) {
			err = core.ErrForbidden.Withf("you may not create courses for that teacher")
		}
		return u, err
	}
	if by.Role == core.Producer {
		bad.add("teacher", "required", "", "", "name a teacher who is linked to you")
		return accounts.User{}, nil
	}
	found, err := s.users.UsersByID(ctx, []core.UserID{by.UserID})
	if err == nil && len(found) == 0 {
		bad.add("teacher", "required", "", "", "name a teacher")
		return accounts.User{}, nil
	}
	if err == nil && !mayTeach(found[0]) { // since the actor was told their role
		err = core.ErrForbidden
	}
	if err != nil {
		return accounts.User{}, err
	}
	return found[0], nil
}

func mayTeach(u accounts.User) bool { return u.Active && u.Role.Rank() >= core.Teacher.Rank() }

// teacher returns an active user who may teach, or adds why there is none to bad.
func (s *Service) teacher(ctx context.Context, username string, bad *checks) (accounts.User, error) {
	u, err := s.users.UserByUsername(ctx, username)
	switch {
	case core.KindOf(err) == core.KindNotFound:
		bad.unknown("teacher", username, "user")
		return accounts.User{}, nil
	case err != nil:
		return accounts.User{}, err
	case !mayTeach(u):
		bad.add("teacher", "role", string(core.Teacher), string(u.Role), "this user may not teach")
		return accounts.User{}, nil
	}
	return u, nil
}

// Edit changes what is given of a course. A course that is published or in review
// must stay complete: otherwise it is ErrIncomplete. A slug that is taken is
// ErrSlugTaken; the course may take back one that it had.
func (s *Service) Edit(ctx context.Context, by core.Actor, slug string, in CourseEdit) (Course, error) {
	return s.edit(core.WithOperation(ctx, "courses.Edit"), by, slug, in, in)
}

// Replace writes all that an author writes of a course; else it is Edit.
func (s *Service) Replace(ctx context.Context, by core.Actor, slug string, in CourseReplacement) (Course, error) {
	return s.edit(core.WithOperation(ctx, "courses.Replace"), by, slug, in, in.edit())
}

func (s *Service) edit(ctx context.Context, by core.Actor, slug string, input any, in CourseEdit) (Course, error) {
	may, err := s.allowed(ctx, by, slug, toEdit)
	if err != nil {
		return Course{}, err
	}
	change, err := s.resolve(ctx, in, s.check(input))
	if err != nil {
		return Course{}, err
	}
	return s.change(ctx, by, may, toEdit, slug, in.IfVersion, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		before := *c
		change.apply(c)
		if c.Status == Published || c.Status == InReview {
			if err := complete(c, ContentCount{Filled: 1}); err != nil {
				return err
			}
		}
		if err := t.update(ctx, tx, c, EventUpdated, Changed{}, false); err != nil {
			return err
		}
		if c.Status == Published && c.Category.ID != before.Category.ID {
			return tx.RecountCategories(ctx)
		}
		return nil
	})
}

// courseChange is a CourseEdit that has been checked, with its names looked up.
type courseChange struct {
	CourseEdit
	category *Category
	tags     *[]Tag
}

// resolve brings an edit to the form in which it is kept and looks up its names by
// one statement each. It fails with all that is bad.
func (s *Service) resolve(ctx context.Context, in CourseEdit, bad *checks) (courseChange, error) {
	in.Title = linePtr(in.Title)
	bad.free(in.Slug)
	in.Description = bad.rich("description", in.Description, in.Format, MaxDescription)
	in.Requirements = bad.rich("requirements", in.Requirements, in.Format, MaxDescription)
	change := courseChange{CourseEdit: in}
	var err error
	if change.category, err = s.category(ctx, "category", in.Category, bad); err != nil {
		return change, err
	}
	if change.tags, err = s.tags(ctx, in.Tags, bad); err != nil {
		return change, err
	}
	return change, bad.err()
}

// category looks up a slug: nil gives nil, and an empty one no category.
func (s *Service) category(ctx context.Context, field string, slug *string, bad *checks) (*Category, error) {
	if slug == nil || *slug == "" || !core.IsSlug(*slug) {
		if slug == nil {
			return nil, nil
		}
		return new(Category), nil
	}
	found, err := s.store.CategoriesBySlug(ctx, []string{*slug})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		bad.unknown(field, *slug, "category")
		return nil, nil
	}
	return &found[0], nil
}

// tags looks up slugs: nil gives nil.
func (s *Service) tags(ctx context.Context, list *[]string, bad *checks) (*[]Tag, error) {
	if list == nil || len(*list) > MaxTags {
		return nil, nil
	}
	tags := []Tag{}
	if len(*list) == 0 {
		return &tags, nil
	}
	found, err := s.store.TagsBySlug(ctx, *list)
	if err != nil {
		return nil, err
	}
	for i, slug := range *list {
		at := slices.IndexFunc(found, func(tag Tag) bool { return tag.Slug == slug })
		if at >= 0 {
			tags = append(tags, found[at])
		} else if core.IsSlug(slug) { // the struct's tags report what is none
			bad.unknown(fmt.Sprintf("tags[%d]", i), slug, "tag")
		}
	}
	return &tags, nil
}

// apply writes the change over c.
func (in *courseChange) apply(c *Course) {
	set(&c.Title, in.Title)
	set(&c.Slug, in.Slug)
	set(&c.Language, in.Language)
	set(&c.Price, in.Price)
	set(&c.Category, in.category)
	set(&c.Tags, in.tags)
	c.refresh() // so that what the change does not write is under the same policy
	set(&c.Description, in.Description)
	set(&c.Requirements, in.Requirements)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// allowed looks, before a transaction is begun, whether the actor may do something
// to a course at all. What it finds is looked at again under the course's lock.
func (s *Service) allowed(ctx context.Context, by core.Actor, slug string, want right) (scope, error) {
	c, may, err := s.visibleCourse(ctx, by, slug)
	if err != nil {
		return scope{}, err
	}
	return may, may.may(by, &c, want)
}

// locked runs fn under the lock of a course that the actor may change.
func (s *Service) locked(ctx context.Context, by core.Actor, may scope, want right, slug string,
	fn func(ctx context.Context, tx Tx, c *Course, t trail) error,
) error {
	t := s.trail(by)
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		c, err := tx.CourseForUpdate(ctx, slug)
		if err != nil {
			return err
		}
		if err := may.may(by, &c, want); err != nil {
			return err
		}
		if err := fault.Hit("courses.locked.after_lock"); err != nil {
			return err
		}
		return fn(ctx, tx, &c, t)
	})
}

// change is locked for a change of the course itself, which it returns.
func (s *Service) change(ctx context.Context, by core.Actor, may scope, want right, slug string, ifVersion int64,
	fn func(ctx context.Context, tx Tx, c *Course, t trail) error,
) (Course, error) {
	var changed Course
	err := s.locked(ctx, by, may, want, slug, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		if err := same(ifVersion, c.Version); err != nil {
			return err
		}
		if err := fn(ctx, tx, c, t); err != nil {
			return err
		}
		changed = *c
		return nil
	})
	if err != nil {
		return Course{}, err
	}
	return s.answer(ctx, changed)
}

// same returns core.ErrVersion unless the version that is asked for is stored.
func same(ifVersion, stored int64) error {
	if ifVersion != 0 && ifVersion != stored {
		return core.ErrVersion
	}
	return nil
}

// update writes a course, reads it again as it is stored, and tells of it.
func (t trail) update(ctx context.Context, tx Tx, c *Course, event string, detail Changed, privileged bool) error {
	c.UpdatedAt = t.at
	if err := tx.UpdateCourses(ctx, []Course{*c}); err != nil {
		return err
	}
	stored, err := tx.CourseBySlug(ctx, c.Slug)
	if err != nil {
		return err
	}
	*c = stored
	return t.changed(ctx, tx, event, c, detail, privileged)
}

// Reassign gives a course to another teacher. Only an admin may. A user who is not
// there or may not teach is a core.ErrInvalid naming "teacher".
func (s *Service) Reassign(ctx context.Context, by core.Actor, slug, teacher string) (Course, error) {
	ctx = core.WithOperation(ctx, "courses.Reassign")
	may, err := s.allowed(ctx, by, slug, toReview)
	if err != nil {
		return Course{}, err
	}
	bad := new(checks)
	u, err := s.teacher(ctx, teacher, bad)
	if err == nil {
		err = bad.err()
	}
	if err != nil {
		return Course{}, err
	}
	return s.change(ctx, by, may, toReview, slug, 0, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		c.Teacher = Teacher{ID: u.ID}
		return t.update(ctx, tx, c, EventReassigned, Changed{}, true)
	})
}

// Delete removes a course with its modules and lessons. One that was ever published,
// or has students or reviews, is ErrNotDeletable, and one that other rows refer to
// ErrCourseInUse: it can be archived.
func (s *Service) Delete(ctx context.Context, by core.Actor, slug string, ifVersion int64) error {
	ctx = core.WithOperation(ctx, "courses.Delete")
	may, err := s.allowed(ctx, by, slug, toEdit)
	if err != nil {
		return err
	}
	return s.locked(ctx, by, may, toEdit, slug, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		if err := same(ifVersion, c.Version); err != nil {
			return err
		}
		if !c.PublishedAt.IsZero() || c.Status == Published || c.Stats.Students > 0 || c.Stats.ReviewCount > 0 {
			return ErrNotDeletable
		}
		if err := tx.DeleteCourse(ctx, c.ID); err != nil {
			return err
		}
		return t.changed(ctx, tx, EventDeleted, c, Changed{}, true)
	})
}

// HasCourses reports whether a user teaches any course, whatever its status. It is
// for other domains, which must not leave a course without a teacher.
func (s *Service) HasCourses(ctx context.Context, teacher core.UserID) (bool, error) {
	return s.store.HasCourses(ctx, teacher)
}
