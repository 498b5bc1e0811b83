package courses

import (
	"context"
	"fmt"
	"slices"
)

// prerequisites looks up the slugs of courses that the author sees, by two statements:
// nil gives nil.
func (s *Service) prerequisites(ctx context.Context, may scope, list *[]string, bad *checks) (*[]CourseID, error) {
	if list == nil || len(*list) > MaxPrerequisites {
		return nil, nil
	}
	ids := []CourseID{}
	if len(*list) == 0 {
		return &ids, nil
	}
	found, err := s.store.CoursesBySlug(ctx, *list)
	if err != nil {
		return nil, err
	}
	for i, slug := range *list {
		at := slices.IndexFunc(found, func(c Course) bool { return c.Slug == slug && may.sees(&c) })
		if at < 0 {
			bad.unknown(fmt.Sprintf("prerequisites[%d]", i), slug, "course")
			continue
		}
		ids = append(ids, found[at].ID)
	}
	slices.Sort(ids)
	return &ids, nil
}

// setPrerequisites writes the prerequisites of a course, where they are others than it
// has, and says whether that changed anything.
func setPrerequisites(ctx context.Context, tx Tx, c *Course, before *[]CourseID) (changed bool, err error) {
	if before == nil || c.PrerequisiteCount == 0 && len(*before) == 0 {
		return false, nil
	}
	stored, err := tx.Prerequisites(ctx, c.ID)
	if err != nil {
		return false, err
	}
	if slices.EqualFunc(stored, *before, func(r Ref, id CourseID) bool { return r.ID == id }) {
		return false, nil
	}
	c.PrerequisiteCount = len(*before)
	return true, tx.SetPrerequisites(ctx, c.ID, *before)
}
