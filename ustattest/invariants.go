package ustattest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// CheckInvariants returns one error for each thing in a storage that contradicts
// another, joined, or nil:
//
//   - a category counts other published courses than there are in it and below it;
//   - two courses have one slug, or one has a slug that leads to another;
//   - a published course has no lesson, or a teacher who is less than a teacher;
//   - there are admins, or have been, and none is active;
//   - an event that waits has no proper id, type, version, time or payload, or waits
//     twice;
//   - whatever the storage's own Verify finds, such as a course without statistics
//     or a session with two live refresh tokens.
//
// It reads everything, through the stores where they can tell, while nothing else
// writes. An error of a store ends it.
func CheckInvariants(ctx context.Context, b *storage.Backend) error {
	c := &checker{ctx: ctx, b: b}
	for _, check := range []func() error{c.courses, c.categories, c.admins, c.events} {
		if err := check(); err != nil {
			return fmt.Errorf("ustattest: check invariants: %w", err)
		}
	}
	if b.Verify != nil {
		if err := b.Verify(ctx); err != nil {
			c.broken = append(c.broken, err)
		}
	}
	return errors.Join(c.broken...)
}

type checker struct {
	ctx    context.Context
	b      *storage.Backend
	broken []error
	// published courses by the category that they are in
	published map[courses.CategoryID]int
}

// block is how many rows are read at once.
const block = 200

func (c *checker) addf(format string, args ...any) {
	c.broken = append(c.broken, fmt.Errorf(format, args...))
}

func (c *checker) courses() error {
	c.published = map[courses.CategoryID]int{}
	seen := map[string]courses.CourseID{}
	for _, status := range courses.Statuses {
		q := courses.ListQuery{Status: status, Sort: courses.Newest, Limit: block}
		for {
			hits, err := c.b.Courses.ListCourses(c.ctx, q)
			if err != nil {
				return err
			}
			list := make([]courses.Course, len(hits))
			for i, h := range hits {
				list[i] = h.Course
				if other, twice := seen[h.Course.Slug]; twice {
					c.addf("the courses %d and %d have the slug %q", other, h.Course.ID, h.Course.Slug)
				}
				seen[h.Course.Slug] = h.Course.ID
			}
			if err := c.slugs(list); err != nil {
				return err
			}
			if status == courses.Published {
				if err := c.publishedCourses(list); err != nil {
					return err
				}
			}
			if len(hits) < block {
				break
			}
			q.After = &hits[len(hits)-1].Position
		}
	}
	return nil
}

// slugs checks that the slugs of courses find them.
func (c *checker) slugs(list []courses.Course) error {
	slugs := make([]string, len(list))
	for i, course := range list {
		slugs[i] = course.Slug
	}
	ids, err := c.b.Courses.CourseIDs(c.ctx, slugs)
	if err != nil {
		return err
	}
	taken, err := c.b.Courses.TakenSlugs(c.ctx, slugs)
	if err != nil {
		return err
	}
	free := make(map[string]bool, len(list))
	for _, course := range list {
		free[course.Slug] = true
		if ids[course.Slug] != course.ID {
			c.addf("the slug %q of course %d leads to course %d", course.Slug, course.ID, ids[course.Slug])
		}
	}
	for _, slug := range taken {
		delete(free, slug)
	}
	for slug := range free {
		c.addf("the slug %q has a course and is free", slug)
	}
	return nil
}

// publishedCourses checks what a course needs to be read by others.
func (c *checker) publishedCourses(list []courses.Course) error {
	ids, teachers := make([]courses.CourseID, len(list)), make([]core.UserID, len(list))
	for i, course := range list {
		ids[i], teachers[i] = course.ID, course.Teacher.ID
		c.published[course.Category.ID]++
	}
	users, err := c.b.Accounts.UsersByID(c.ctx, teachers)
	if err != nil {
		return err
	}
	rank := make(map[core.UserID]int, len(users))
	for _, u := range users {
		rank[u.ID] = u.Role.Rank()
	}
	full, err := c.withLessons(ids)
	if err != nil {
		return err
	}
	for _, course := range list {
		if rank[course.Teacher.ID] < core.Teacher.Rank() {
			c.addf("the published course %q has no teacher", course.Slug)
		}
		if !full[course.ID] {
			c.addf("the published course %q has no lesson", course.Slug)
		}
	}
	return nil
}

// withLessons returns which of the courses have a lesson.
func (c *checker) withLessons(ids []courses.CourseID) (map[courses.CourseID]bool, error) {
	full := map[courses.CourseID]bool{}
	modules, err := c.b.Courses.ModulesOf(c.ctx, ids)
	if err != nil {
		return nil, err
	}
	for len(modules) > 0 { // in blocks, for lessons come with their content
		var of []courses.ModuleID
		for _, m := range modules[:min(block, len(modules))] {
			if !full[m.CourseID] {
				of = append(of, m.ID)
			}
		}
		modules = modules[min(block, len(modules)):]
		lessons, err := c.b.Courses.LessonsOf(c.ctx, of)
		if err != nil {
			return nil, err
		}
		for _, l := range lessons {
			full[l.CourseID] = true
		}
	}
	return full, nil
}

func (c *checker) categories() error {
	byID := map[courses.CategoryID]courses.Category{}
	for after := ""; ; {
		list, err := c.b.Courses.Categories(c.ctx, after, block)
		if err != nil {
			return err
		}
		for _, k := range list {
			byID[k.ID] = k
			after = k.Slug
		}
		if len(list) < block {
			break
		}
	}
	counts := map[courses.CategoryID]int{}
	for id, n := range c.published {
		for depth := 0; id != 0; id = byID[id].ParentID {
			if depth++; depth > len(byID) {
				c.addf("the category %q is below itself", byID[id].Slug)
				break
			}
			counts[id] += n
		}
	}
	for id, k := range byID {
		if k.CourseCount != counts[id] {
			c.addf("the category %q counts %d courses and has %d", k.Slug, k.CourseCount, counts[id])
		}
	}
	return nil
}

func (c *checker) admins() error {
	q := accounts.UserQuery{Role: core.Admin, Limit: block}
	for there := false; ; {
		users, err := c.b.Accounts.Users(c.ctx, q)
		if err != nil {
			return err
		}
		for _, u := range users {
			there = true
			if u.Active {
				return nil
			}
			q.After = core.Fold(u.Username)
		}
		if len(users) < block {
			if there {
				c.addf("no active admin is left")
			}
			return nil
		}
	}
}

func (c *checker) events() error {
	for _, source := range sources(c.b) {
		events, err := source.Outbox.Pending(c.ctx, maxEvents)
		if err != nil {
			return err
		}
		seen := make(map[uuid.UUID]bool, len(events))
		for _, e := range events {
			if seen[e.ID] {
				c.addf("the event %s of %s waits twice", e.ID, source.Name)
			}
			seen[e.ID] = true
			if e.ID.Version() != 7 || e.Type == "" || e.Version < 1 || e.Subject == "" || e.At.IsZero() || !json.Valid(e.Payload) {
				c.addf("the event %s of %s, %q about %q, is not whole", e.ID, source.Name, e.Type, e.Subject)
			}
		}
	}
	return nil
}
