package reports

import (
	"context"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/fault"
)

// coursesHeader names the columns of the report on courses.
var coursesHeader = []string{
	"slug", "title", "teacher", "category", "language", "status", "price", "currency", "students", "reviews", "average_rating", "created_at", "published_at",
}

// courses writes the courses that the actor may edit, by status and the newest first,
// a page at a time. A course whose status changes while it is written may come twice
// or be missing.
func (s *Service) courses(ctx context.Context, by core.Actor, f Filter, w Writer) (rows int, err error) {
	if err := w.Row(texts(coursesHeader)...); err != nil {
		return 0, err
	}
	if err := fault.Hit("reports.make.after_header"); err != nil {
		return 0, err
	}
	statuses := courses.Statuses[:]
	if f.Status != "" {
		statuses = []courses.Status{f.Status}
	}
	for _, status := range statuses {
		filter := courses.Filter{Status: status, Editable: true}
		for page, more := (core.Page{Limit: core.MaxLimit}), true; more; more = page.Cursor != "" {
			found, err := s.c.Courses.List(ctx, by, filter, courses.Newest, page)
			if err != nil {
				return rows, err
			}
			for _, c := range found.Items {
				if err := w.Row(courseRow(c.Course)...); err != nil {
					return rows, err
				}
				rows++
			}
			page.Cursor = found.Next
		}
	}
	return rows, nil
}

func courseRow(c courses.Course) []Cell {
	var average Cell
	if rating, rated := c.Stats.AverageRating(); rated {
		average = Decimal(rating)
	}
	return []Cell{
		Text(c.Slug), Text(c.Title), Text(c.Teacher.Username), Text(c.Category.Slug), Text(c.Language), Text(string(c.Status)),
		Money(c.Price), Text(c.Price.Currency), Int(c.Stats.Students), Int(c.Stats.ReviewCount), average, Time(c.CreatedAt), Time(c.PublishedAt),
	}
}
