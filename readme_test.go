package ustat_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/httpapi"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage/sqlite"
)

// embed is the Go of the README's "Embed it", line by line, with the errors looked at.
func embed(ctx context.Context, t *testing.T, mux *http.ServeMux) error {
	backend, err := sqlite.Open(ctx, "school.db", nil) // or postgres.Open(ctx, "postgres://…", nil)
	if err != nil {
		return err
	}
	defer backend.Close()
	platform, err := ustat.New(backend, nil)
	if err != nil {
		return err
	}
	if err := platform.Start(ctx); err != nil { // migrates, makes the keys
		return err
	}
	defer platform.Stop(ctx)

	api, err := httpapi.New(platform, nil)
	if err != nil {
		return err
	}
	mux.Handle("/api/", api)
	mux.Handle("/healthz", api) // and "/readyz", where an orchestrator asks

	user := func(name string, role core.Role) core.Actor {
		u, err := platform.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: name, Email: name + "@example.org", Role: role})
		require.NoError(t, err)
		return core.Actor{UserID: u.ID, Role: u.Role}
	}
	admin, ann, sam := user("admin-1", core.Admin), user("ann", core.Teacher), user("sam", core.Student)

	category, err := platform.Courses.CreateCategory(ctx, admin, courses.NewCategory{Name: "Programming"})
	require.NoError(t, err)
	course, err := platform.Courses.Create(ctx, ann, courses.NewCourse{
		Title: "Основы Go", Description: "**Begin** here", Format: "markdown",
		Category: category.Slug, Price: &core.Money{Currency: "RUB"}, // free
	})
	require.NoError(t, err)
	module, err := platform.Courses.CreateModule(ctx, ann, course.Slug, courses.NewModule{Title: "Start"})
	require.NoError(t, err)
	lesson, err := platform.Courses.CreateLesson(ctx, ann, course.Slug, module.ID, courses.NewLesson{Title: "Hello", Kind: courses.Text})
	require.NoError(t, err)
	course, err = platform.Courses.Submit(ctx, ann, course.Slug, 0) // 0 is whatever version there is
	require.NoError(t, err)
	course, err = platform.Courses.Publish(ctx, admin, course.Slug, 0) // or Reject
	require.NoError(t, err)
	page, err := platform.Courses.List(ctx, core.Actor{}, courses.Filter{Category: "programming"}, courses.Rating, core.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)

	seat, err := platform.Courses.Enroll(ctx, sam, course.Slug, "") // or a place on the waiting list of a full course
	require.NoError(t, err)
	seat, err = platform.Courses.CompleteLesson(ctx, sam, seat.ID, lesson.ID) // the last one completes the course
	require.NoError(t, err)
	require.Equal(t, courses.Completed, seat.Status)
	review, err := platform.Reviews.Create(ctx, sam, course.Slug, reviews.New{Rating: 5, Text: "Clear"})
	require.NoError(t, err)
	require.Equal(t, 5, review.Rating)
	return nil
}

func TestTheReadmeEmbeds(t *testing.T) {
	code := func(file, from, to string) (lines []string) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, part, found := strings.Cut(string(text), from)
		require.True(t, found)
		part, _, found = strings.Cut(part, to)
		require.True(t, found)
		for _, line := range strings.Split(part, "\n") {
			line, _, _ = strings.Cut(line, " //") // comments are in columns
			lines = append(lines, strings.TrimSpace(line))
		}
		return lines
	}
	inGo := false
	own := code("readme_test.go", "mux *http.ServeMux) error {", "\n}\n")
	for _, line := range code("README.md", "## Embed it", "`TestTheReadmeEmbeds`") {
		if strings.HasPrefix(line, "```") {
			inGo = line == "```go"
			continue
		}
		if !inGo || line == "" {
			continue
		}
		for len(own) > 0 && own[0] != line {
			own = own[1:]
		}
		require.NotEmpty(t, own, "the README has a line that embed does not run there: %s", line)
		own = own[1:]
	}
	t.Chdir(t.TempDir())
	mux := http.NewServeMux()
	require.NoError(t, embed(t.Context(), t, mux))
}
