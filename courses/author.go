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
// that the first call made, whatever has changed since, and another input is
// core.ErrKeyReused.
func (s *Service) Create(ctx context.Context, by core.Actor, in NewCourse) (Course, error) {
	ctx = core.WithOperation(ctx, "courses.Create")
	switch {
	case by.IsAnonymous():
		return Course{}, core.ErrUnauthenticated
	case by.Role.Rank() < core.Teacher.Rank():
		return Course{}, core.ErrForbidden
	}
	key := s.key(by, "courses.create", 0, in.Key, in)
	may, err := s.scope(ctx, by)
	if err != nil {
		return Course{}, err
	}
	teacher, change, refused := s.prepare(ctx, by, may, in)
	if refused != nil && key.Key == "" {
		return Course{}, refused
	}
	var made Course
	t := s.trail(by)
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		made, err = core.Once(ctx, tx, key, func() (Course, error) {
			if refused != nil { // which is no answer to a key that has one
				return Course{}, refused
			}
			if err := keepTeacher(ctx, tx, teacher.ID); err != nil {
				return Course{}, err
			}
			c := Course{Status: Draft, Teacher: Teacher{ID: teacher.ID}, CreatedAt: t.at, UpdatedAt: t.at}
			change.apply(&c)
			if c, err = insertFree(ctx, tx, c); err != nil {
				return Course{}, err
			}
			if err := fault.Hit("courses.create.after_insert"); err != nil {
				return Course{}, err
			}
			if _, err := setPrerequisites(ctx, tx, &c, change.before); err != nil {
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

// key is what a request is known by when it comes again: of an actor, and of a course
// where there is one.
func (s *Service) key(by core.Actor, operation string, course CourseID, key string, request any) core.IdempotencyKey {
	scope := operation + "/" + strconv.FormatInt(int64(by.UserID), 10)
	if course != 0 {
		scope += "/" + strconv.FormatInt(int64(course), 10)
	}
	return core.IdempotencyKey{Scope: scope, Key: key, Request: core.RequestHash(request), At: s.clock.Now()}
}

// prepare checks a new course and looks up what it names.
func (s *Service) prepare(ctx context.Context, by core.Actor, may scope, in NewCourse) (accounts.User, courseChange, error) {
	in.Title, in.Teacher = line(in.Title), line(in.Teacher)
	bad := s.check(in)
	teacher, err := s.newTeacher(ctx, by, may, in.Teacher, bad)
	if err != nil {
		return teacher, courseChange{}, err
	}
	change, err := s.resolve(ctx, may, in.edit(), bad)
	return teacher, change, err
}

// keepTeacher holds a user who may teach to that until the end of the transaction.
// One who may not any more is a core.ErrInvalid naming "teacher".
func keepTeacher(ctx context.Context, tx Tx, id core.UserID) error {
	standings, err := tx.LockTeachers(ctx, []core.UserID{id})
	if err != nil {
		return err
	}
	if now := standings[id]; !mayTeach(accounts.User{Role: now.Role, Active: now.Active}) {
		return core.Invalid("teacher", "role", string(core.Teacher), string(now.Role), "this user may not teach")
	}
	return nil
}

// newTeacher returns who teaches the course that the actor creates.
func (s *Service) newTeacher(ctx context.Context, by core.Actor, may scope, username string, bad *checks) (accounts.User, error) {
	switch {
	case username != "" && may.all:
		return s.teacher(ctx, username, bad)
	case username != "":
		return s.teacherAmong(ctx, may.teachers, username, bad)
	case by.Role == core.Producer:
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

// teacherAmong is teacher for those who may name only some: of all others they are
// not even told whether they are there.
func (s *Service) teacherAmong(ctx context.Context, some []core.UserID, username string, bad *checks) (accounts.User, error) {
	users, err := s.users.UsersByID(ctx, some)
	if err != nil {
		return accounts.User{}, err
	}
	folded := core.Fold(username)
	at := slices.IndexFunc(users, func(u accounts.User) bool { return core.Fold(u.Username) == folded })
	if at < 0 {
		return accounts.User{}, core.ErrForbidden.Withf("you may not create courses for that teacher")
	}
	bad.teaches(users[at])
	return users[at], nil
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
	}
	bad.teaches(u)
	return u, nil
}

// teaches adds that a user may not teach.
func (c *checks) teaches(u accounts.User) {
	if !mayTeach(u) {
		c.add("teacher", "role", string(core.Teacher), string(u.Role), "this user may not teach")
	}
}

// Edit changes what is given of a course. A course that is published or in review
// must stay complete: otherwise it is ErrIncomplete. A slug that is taken is
// ErrSlugTaken. Once a course was published its old slugs lead to it, and it may take
// them back; more than MaxOldSlugs of them are ErrTooMany.
func (s *Service) Edit(ctx context.Context, by core.Actor, slug string, in CourseEdit) (Course, error) {
	return s.edit(core.WithOperation(ctx, "courses.Edit"), by, slug, in, in)
}

// Replace writes all that an author writes of a course; else it is Edit.
func (s *Service) Replace(ctx context.Context, by core.Actor, slug string, in CourseReplacement) (Course, error) {
	return s.edit(core.WithOperation(ctx, "courses.Replace"), by, slug, in, in.edit())
}

func (s *Service) edit(ctx context.Context, by core.Actor, slug string, input any, in CourseEdit) (Course, error) {
	seen, may, err := s.visibleCourse(ctx, by, slug)
	if err == nil {
		err = may.may(by, &seen, toEdit)
	}
	if err != nil {
		return Course{}, err
	}
	change, err := s.resolve(ctx, may, in, s.check(input))
	if err != nil {
		return Course{}, err
	}
	locks := courseAlone
	moves := seen.Status != Draft && in.Category != nil && *in.Category != seen.Category.Slug
	if moves || change.before != nil { // two edits at once cannot make courses wait for each other
		locks = treeFirst
	}
	return s.change(ctx, by, may, toEdit, locks, slug, in.IfVersion, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		before := *c
		change.apply(c)
		changes, err := setPrerequisites(ctx, tx, c, change.before)
		if err != nil {
			return err
		}
		if !changes && c.equal(&before) {
			*c = before
			return nil
		}
		if c.Status == Published || c.Status == InReview {
			if err := complete(c, ContentCount{Filled: 1}); err != nil {
				return err
			}
		}
		if err := s.changeSeats(ctx, tx, t, c, &before); err != nil {
			return err
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

// changeSeats lets in who waits where a course has got more seats, or costs nothing any
// more. It does not get fewer seats than are taken.
func (s *Service) changeSeats(ctx context.Context, tx Tx, t trail, c, before *Course) error {
	if c.Capacity == before.Capacity && (c.Price.Minor > 0 || before.Price.Minor == 0) {
		return nil
	}
	if taken := int(c.Stats.Students); c.Capacity > 0 && c.Capacity < taken {
		return core.Invalid("capacity", "min", strconv.Itoa(taken), strconv.Itoa(c.Capacity), "more seats are taken")
	}
	return s.fill(ctx, tx, t, before.Slug, c)
}

// courseChange is a CourseEdit that has been checked, with its names looked up.
type courseChange struct {
	CourseEdit
	category *Category
	tags     *[]Tag
	before   *[]CourseID // the prerequisites
}

// resolve brings an edit to the form in which it is kept and looks up its names by
// one statement each. It fails with all that is bad.
func (s *Service) resolve(ctx context.Context, may scope, in CourseEdit, bad *checks) (courseChange, error) {
	in.Title = linePtr(in.Title)
	bad.free(in.Slug)
	in.Language = languagePtr(in.Language)
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
	if change.before, err = s.prerequisites(ctx, may, in.Prerequisites, bad); err != nil {
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

// equal reports whether two courses differ in nothing that Edit writes.
func (c *Course) equal(o *Course) bool {
	return c.Title == o.Title && c.Slug == o.Slug && c.Description == o.Description && c.Requirements == o.Requirements &&
		c.TextPolicy == o.TextPolicy && c.Language == o.Language && c.Price == o.Price && c.Category.ID == o.Category.ID && c.Capacity == o.Capacity &&
		slices.Equal(tagIDs(c.Tags), tagIDs(o.Tags))
}

// tagIDs returns the ids of tags in order.
func tagIDs(tags []Tag) []TagID {
	ids := make([]TagID, len(tags))
	for i, tag := range tags {
		ids[i] = tag.ID
	}
	slices.Sort(ids)
	return ids
}

// apply writes the change over c.
func (in *courseChange) apply(c *Course) {
	set(&c.Title, in.Title)
	set(&c.Slug, in.Slug)
	set(&c.Language, in.Language)
	set(&c.Price, in.Price)
	set(&c.Category, in.category)
	set(&c.Tags, in.tags)
	set(&c.Capacity, in.Capacity)
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

// locks are what a change of a course takes.
type locks bool

const (
	courseAlone locks = false
	treeFirst   locks = true // for what changes how many courses a category has, or which come before others
)

// locked runs fn under the lock of a course that the actor may change.
func (s *Service) locked(ctx context.Context, by core.Actor, may scope, want right, slug string,
	fn func(ctx context.Context, tx Tx, c *Course, t trail) error,
) error {
	return s.lockedBy(ctx, by, may, want, courseAlone, slug, fn)
}

func (s *Service) lockedBy(ctx context.Context, by core.Actor, may scope, want right, locks locks, slug string,
	fn func(ctx context.Context, tx Tx, c *Course, t trail) error,
) error {
	t := s.trail(by)
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if locks == treeFirst {
			if err := tx.LockTree(ctx); err != nil {
				return err
			}
		}
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
func (s *Service) change(ctx context.Context, by core.Actor, may scope, want right, locks locks, slug string, ifVersion int64,
	fn func(ctx context.Context, tx Tx, c *Course, t trail) error,
) (Course, error) {
	var changed Course
	err := s.lockedBy(ctx, by, may, want, locks, slug, func(ctx context.Context, tx Tx, c *Course, t trail) error {
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
// there or may not teach is a core.ErrInvalid naming "teacher", and one who takes the
// course, or waits for a seat in it, ErrEnrolled.
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
	return s.change(ctx, by, may, toReview, courseAlone, slug, 0, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		if c.Teacher.ID == u.ID {
			return nil
		}
		if err := keepTeacher(ctx, tx, u.ID); err != nil {
			return err
		}
		learner, err := tx.LearnerOf(ctx, c.ID, u.ID)
		if err != nil {
			return err
		}
		if e := learner.Enrollment.Status; e.Seated() || e == Waiting {
			return ErrEnrolled.Withf("%s takes this course: cancel that first", teacher)
		}
		from := c.Teacher.ID
		c.Teacher = Teacher{ID: u.ID}
		return t.update(ctx, tx, c, EventReassigned, Changed{From: from}, true)
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
