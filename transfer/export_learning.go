package transfer

import (
	"context"
	"strconv"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// exportLearners is how many enrollments' progress is asked for at once.
const exportLearners = 200

// enrollmentPages calls rows for pages of enrollments and of those they belong to.
func enrollmentPages(ctx context.Context, e *exporter, limit int, rows func([]courses.Enrollment, map[core.UserID]string) error) error {
	return pages(ctx, limit, func(ctx context.Context, last *courses.Enrollment, limit int) ([]courses.Enrollment, error) {
		var after courses.EnrollmentPlace
		if last != nil {
			after = courses.EnrollmentPlace{Course: last.Slug, At: last.EnrolledAt, ID: last.ID}
		}
		return e.backend.Courses.EnrollmentsAfter(ctx, after, limit)
	}, func(list []courses.Enrollment) error {
		ids := make([]core.UserID, len(list))
		for i := range list {
			ids[i] = list[i].User
		}
		users, err := e.usernames(ctx, ids)
		if err != nil {
			return err
		}
		return rows(list, users)
	})
}

func exportEnrollments(ctx context.Context, e *exporter, out *sheet) error {
	if err := out.header("course", "user", "price_paid", "currency", "enrolled_at", "status", "source", "started_at", "completed_at"); err != nil {
		return err
	}
	return enrollmentPages(ctx, e, exportPage, func(list []courses.Enrollment, users map[core.UserID]string) error {
		return rowByRow(func(x *courses.Enrollment) error {
			price := ""
			if x.PricePaid.Currency != "" {
				price = x.PricePaid.Decimal()
			}
			return out.row(x.Slug, users[x.User], price, x.PricePaid.Currency, moment(x.EnrolledAt), string(x.Status), string(x.Source),
				moment(x.StartedAt), moment(x.CompletedAt))
		})(list)
	})
}

func exportProgress(ctx context.Context, e *exporter, out *sheet) error {
	if err := out.header("course", "user", "module_position", "position", "completed_at"); err != nil {
		return err
	}
	return enrollmentPages(ctx, e, exportLearners, func(list []courses.Enrollment, users map[core.UserID]string) error {
		ids, learners := make([]courses.EnrollmentID, len(list)), make(map[courses.EnrollmentID]string, len(list))
		for i := range list {
			ids[i] = list[i].ID
			learners[list[i].ID] = users[list[i].User]
		}
		return e.backend.Courses.ProgressOf(ctx, ids, func(at courses.Place, p courses.LessonProgress) error {
			return out.row(at.Course, learners[p.Enrollment], strconv.Itoa(at.Module), strconv.Itoa(at.Lesson), moment(p.CompletedAt))
		})
	})
}
