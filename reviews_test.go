package ustat_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/tasks"
)

// everybody takes every course.
type everybody struct{}

func (everybody) Learner(context.Context, courses.CourseID, core.UserID) (reviews.Learner, error) {
	return reviews.Learner{Enrolled: true, Percent: 100}, nil
}

// Reviews that are kept in another database are in the lists of courses by event.
func TestListsFollowReviewsThatAreKeptElsewhere(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	backend := must(sqlite.InMemory(ctx, nil))(t)
	elsewhere := must(sqlite.InMemory(ctx, nil))(t)
	t.Cleanup(func() { _ = elsewhere.Close() })
	must(elsewhere.Schema.Migrate(ctx))(t)
	mixed := *backend
	mixed.Reviews = elsewhere.Reviews
	p, err := ustat.New(&mixed, &ustat.Config{Queue: tasks.NewMemory(nil), Learners: everybody{}})
	require.NoError(t, err)
	require.NoError(t, p.Start(ctx))
	t.Cleanup(func() { require.NoError(t, p.Stop(context.Background())) })
	for name, role := range map[string]core.Role{"anna": core.Teacher, "sam": core.Student} {
		_, err := p.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: name, Email: name + "@example.org", Role: role})
		require.NoError(t, err)
	}
	anna, err := p.Accounts.UserByUsername(ctx, "anna")
	require.NoError(t, err)
	require.NoError(t, backend.Courses.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
		_, err := tx.InsertCourses(ctx, []courses.Course{{Slug: "go", Title: "Go", Status: courses.Published, Price: core.Money{Currency: "EUR"}, Teacher: courses.Teacher{ID: anna.ID}}})
		return err
	}))
	sam, err := p.Accounts.UserByUsername(ctx, "sam")
	require.NoError(t, err)
	by := core.Actor{UserID: sam.ID, Role: sam.Role}
	made, err := p.Reviews.Create(ctx, by, "go", reviews.New{Rating: 3})
	require.NoError(t, err)
	rated := func(want courses.Stats) {
		t.Helper()
		eventually(t, func() bool {
			c, err := p.Courses.Course(ctx, by, "go")
			return err == nil && c.Stats == want
		}, "the course has the numbers of its reviews")
	}
	rated(courses.Stats{ReviewCount: 1, RatingSum: 3})
	profile := func(name string, want int) {
		t.Helper()
		eventually(t, func() bool {
			found, err := p.Accounts.Profile(ctx, name)
			return err == nil && found.Rating == want
		}, "the teacher's profile has the rating of their courses")
	}
	profile("anna", 391) // (10 × 4 + 3) / 11
	_, err = p.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: "boris", Email: "boris@example.org", Role: core.Teacher})
	require.NoError(t, err)
	_, err = p.Courses.Reassign(ctx, accounts.System, "go", "boris")
	require.NoError(t, err)
	profile("boris", 391)
	profile("anna", 0)
	require.NoError(t, p.Reviews.Delete(ctx, by, made.ID, 0))
	rated(courses.Stats{})
	profile("boris", 0)
}

// Who holds a seat reviews the course, and still sees the review when it is archived.
func TestWhoIsEnrolledReviews(t *testing.T) {
	onEngines(t, func(t *testing.T, at place) {
		ctx := t.Context()
		backend := at.backend(t)
		p, err := ustat.New(backend, nil)
		require.NoError(t, err)
		require.NoError(t, p.Start(ctx))
		t.Cleanup(func() { require.NoError(t, p.Stop(context.Background())) })
		people := map[string]core.Actor{}
		for name, role := range map[string]core.Role{"anna": core.Teacher, "sam": core.Student, "tim": core.Student} {
			u, err := p.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: name, Email: name + "@example.org", Role: role})
			require.NoError(t, err)
			people[name] = core.Actor{UserID: u.ID, Role: u.Role}
		}
		require.NoError(t, backend.Courses.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
			_, err := tx.InsertCourses(ctx, []courses.Course{{Slug: "go", Title: "Go", Status: courses.Published, Price: core.Money{Currency: "EUR"}, Teacher: courses.Teacher{ID: people["anna"].UserID}}})
			return err
		}))
		_, err = p.Reviews.Create(ctx, people["sam"], "go", reviews.New{Rating: 3})
		require.ErrorIs(t, err, reviews.ErrNotEligible)
		_, err = p.Courses.Enroll(ctx, people["sam"], "go", "")
		require.NoError(t, err)
		made, err := p.Reviews.Create(ctx, people["sam"], "go", reviews.New{Rating: 3})
		require.NoError(t, err)
		_, err = p.Courses.Archive(ctx, people["anna"], "go", 0)
		require.NoError(t, err)
		for name, sees := range map[string]bool{"sam": true, "anna": true, "tim": false} {
			_, err := p.Reviews.Review(ctx, people[name], made.ID)
			page, listErr := p.Reviews.List(ctx, people[name], "go", "", core.Page{})
			if !sees {
				require.ErrorIs(t, err, reviews.ErrReviewNotFound)
				require.ErrorIs(t, listErr, courses.ErrCourseNotFound)
				continue
			}
			require.NoError(t, errors.Join(err, listErr))
			require.Len(t, page.Items, 1)
		}
		_, err = p.Courses.Cancel(ctx, people["sam"], "go", "sam")
		require.NoError(t, err)
		_, err = p.Reviews.List(ctx, people["sam"], "go", "", core.Page{})
		require.ErrorIs(t, err, courses.ErrCourseNotFound)
		_, err = p.Reviews.Review(ctx, people["sam"], made.ID)
		require.NoError(t, err, "what was written stands")
	})
}
