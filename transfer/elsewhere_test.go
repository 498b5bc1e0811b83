package transfer_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

func TestTeachersMayLiveInAnotherStore(t *testing.T) {
	t.Parallel()
	inFile := open
	for name, open := range map[string]func(testing.TB) *storage.Backend{"sqlite": open, "postgres": openPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mine, elsewhere := *open(t), inFile(t)
			mine.Accounts = elsewhere.Accounts
			ctx := t.Context()
			p, err := ustat.New(&mine, nil)
			require.NoError(t, err)
			require.NoError(t, p.Start(ctx))
			user, err := p.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: "teresa", Email: "t@example.org", Role: core.Teacher})
			require.NoError(t, err)
			teresa := core.Actor{UserID: user.ID, Role: core.Teacher}
			_, err = p.Courses.Create(ctx, teresa, courses.NewCourse{Title: "Mine"})
			require.NoError(t, err)
			page, err := p.Courses.List(ctx, teresa, courses.Filter{Status: courses.Draft}, "", core.Page{})
			require.NoError(t, err)
			require.Len(t, page.Items, 1)
			require.Equal(t, "teresa", page.Items[0].Teacher.Username)

			_, refused, _ := importAll(t, &mine, good())
			require.Empty(t, refused)
			imported, err := mine.Courses.CourseBySlug(ctx, "go")
			require.NoError(t, err)
			ann, err := elsewhere.Accounts.UserByUsername(ctx, "ann")
			require.NoError(t, err)
			require.Equal(t, ann.ID, imported.Teacher.ID)
		})
	}
}
