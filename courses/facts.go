package courses

import (
	"context"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
)

// FactReader counts what users have done, for achievements. Who has nothing to count is
// left out; no users give no statement, others one.
type FactReader interface {
	// CompletedCourses counts the enrollments of each user that are Completed.
	CompletedCourses(ctx context.Context, users []core.UserID) (map[core.UserID]int, error)
	// LongestStreaks returns the greatest number of days on end, in UTC, on each of
	// which a user has completed a lesson, of whatever course and since deleted or not.
	LongestStreaks(ctx context.Context, users []core.UserID) (map[core.UserID]int, error)
	// StudentsTaught adds up Stats.Students of the courses of each teacher.
	StudentsTaught(ctx context.Context, teachers []core.UserID) (map[core.UserID]int, error)
}

// CompletedCourses implements accounts.Facts. One statement.
func (s *Service) CompletedCourses(ctx context.Context, users []core.UserID) (map[core.UserID]int, error) {
	return s.store.CompletedCourses(ctx, users)
}

// LongestStreaks implements accounts.Facts. One statement.
func (s *Service) LongestStreaks(ctx context.Context, users []core.UserID) (map[core.UserID]int, error) {
	return s.store.LongestStreaks(ctx, users)
}

// StudentsTaught implements accounts.Facts. One statement.
func (s *Service) StudentsTaught(ctx context.Context, teachers []core.UserID) (map[core.UserID]int, error) {
	return s.store.StudentsTaught(ctx, teachers)
}

var _ accounts.Facts = (*Service)(nil)
