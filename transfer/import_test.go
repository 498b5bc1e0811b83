package transfer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/transfer"
)

const (
	usersHeader   = "username,email,role,full_name,bio,password_hash\n"
	coursesHeader = "slug,title,description,language,category,teacher,price,currency,status,tags,created_at\n"
	modulesHeader = "course,position,title\n"
	lessonsHeader = "course,module_position,position,title,kind,content,duration_seconds\n"
)

// good is a small folder in which nothing is wrong.
func good() map[string]string {
	return map[string]string{
		"categories.csv": "slug,name,parent\nweb,Web,it\nit,IT,\n",
		"users.csv":      usersHeader + "ann,ann@example.org,teacher,Ann,,\nbob,bob@example.org,student,Bob,,\n",
		"courses.csv": coursesHeader +
			"go,Go,Learn,en,web,ann,10.50,USD,published,Go;C++;C#,2024-01-02T03:04:05Z\n" +
			"sql,SQL,\"two\nlines\",,it,ann,0,RUB,draft,,\n",
		"modules.csv": modulesHeader + "go,1,One\ngo,2,Two\nsql,1,One\n",
		"lessons.csv": lessonsHeader + "go,1,1,First,text,Hello,60\ngo,1,2,Second,video,,\nsql,1,1,First,file,x,0\n",
	}
}

func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

// importAll imports files and returns the report and every refusal and warning.
func importAll(t testing.TB, backend *storage.Backend, files map[string]string) (report transfer.Report, refused, warned []string) {
	t.Helper()
	report, err := transfer.Import(t.Context(), backend, os.DirFS(folder(t, files)), &transfer.Options{
		Refused: func(r transfer.Refusal) { refused = append(refused, r.String()) },
		Warned:  func(w transfer.Warning) { warned = append(warned, w.String()) },
	})
	require.NoError(t, err)
	require.Equal(t, len(refused), report.Total().Refused)
	require.Equal(t, len(warned), report.Total().Warnings)
	return report, refused, warned
}

func TestAFolderImportedTwiceChangesNothingTheSecondTime(t *testing.T) {
	t.Parallel()
	backend := open(t)
	report, refused, warned := importAll(t, backend, good())
	require.Empty(t, refused)
	require.Empty(t, warned)
	require.Equal(t, transfer.Counts{Inserted: 12}, report.Total())

	c, err := backend.Courses.CourseBySlug(t.Context(), "go")
	require.NoError(t, err)
	require.Equal(t, "2024-01-02T03:04:05Z", c.PublishedAt.Format("2006-01-02T15:04:05Z07:00"))
	require.Equal(t, core.Money{Minor: 1050, Currency: "USD"}, c.Price)
	var tags []string
	for _, tag := range c.Tags {
		tags = append(tags, tag.Slug)
	}
	require.ElementsMatch(t, []string{"go", "c-plus-plus", "c-sharp"}, tags)
	counted, err := backend.Courses.CategoriesBySlug(t.Context(), []string{"it", "web"})
	require.NoError(t, err)
	for _, category := range counted {
		require.Equal(t, 1, category.CourseCount, category.Slug)
		require.Equal(t, map[string]string{"it": "", "web": "it"}[category.Slug], category.Parent)
	}

	report, _, _ = importAll(t, backend, good())
	require.Equal(t, transfer.Counts{Unchanged: 12}, report.Total())
}

func TestAChangedCellUpdatesOneRow(t *testing.T) {
	t.Parallel()
	for file, change := range map[string][2]string{
		"categories.csv": {"IT", "Computers"},
		"users.csv":      {"Bob", "Robert"},
		"courses.csv":    {"10.50", "10.51"},
		"modules.csv":    {"Two", "2"},
		"lessons.csv":    {"Hello", "Bye"},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			backend := open(t)
			importAll(t, backend, good())
			changed := good()
			changed[file] = strings.Replace(changed[file], change[0], change[1], 1)
			report, _, _ := importAll(t, backend, changed)
			require.Equal(t, transfer.Counts{Updated: 1, Unchanged: 11}, report.Total())
			report, _, _ = importAll(t, backend, changed)
			require.Equal(t, transfer.Counts{Unchanged: 12}, report.Total())
		})
	}
}

func TestAnUpdateKeepsWhatTheFileDoesNotSay(t *testing.T) {
	t.Parallel()
	backend := open(t)
	files := good()
	files["users.csv"] = usersHeader + "ann,ann@example.org,teacher,Ann,Bio,\"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s\"\n"
	importAll(t, backend, files)
	importAll(t, backend, map[string]string{"users.csv": "username,email,role,password_hash\nann,ann@example.org,admin,\n"})
	u, err := backend.Accounts.UserByUsername(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, []any{core.Admin, "Ann", "Bio", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s"}, []any{u.Role, u.FullName, u.Bio, u.PasswordHash})
}

func TestAnAddressThatARowLeavesIsFreeForTheRowsBelow(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *storage.Backend{"sqlite": open, "postgres": openPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := open(t)
			importAll(t, backend, map[string]string{"users.csv": usersHeader +
				"ann,ann@example.org,student,,,\nbob,bob@example.org,student,,,\ncyd,cyd@example.org,student,,,\n"})
			report, refused, _ := importAll(t, backend, map[string]string{"users.csv": usersHeader +
				"ann,new@example.org,student,,,\n" +
				"bob,ANN@example.org,student,,,\n" + // left by a stored user, to a stored one
				"dee,bob@example.org,student,,,\n" + // and to a new one
				"eve,cyd@example.org,student,,,\n" + // not left yet
				"cyd,bad mail,student,,,\n"})
			require.Equal(t, []string{
				"users.csv:5:email: another user has this e-mail address",
				`users.csv:6:email: "bad mail" is no e-mail address`,
			}, refused)
			require.Equal(t, transfer.Counts{Inserted: 1, Updated: 2, Refused: 2}, report.Total())
			emails := map[string]string{}
			users, err := backend.Accounts.UsersByName(t.Context(), []string{"ann", "bob", "cyd", "dee", "eve"}, nil)
			require.NoError(t, err)
			for _, u := range users {
				emails[u.Username] = u.Email
			}
			require.Equal(t, map[string]string{"ann": "new@example.org", "bob": "ANN@example.org", "cyd": "cyd@example.org", "dee": "bob@example.org"}, emails)
		})
	}
}

// counted counts the transactions that are opened.
type counted struct {
	courses.Store
	updates int
}

func (c *counted) Update(ctx context.Context, fn func(context.Context, courses.Tx) error) error {
	c.updates++
	return c.Store.Update(ctx, fn)
}

type countedUsers struct {
	accounts.Store
	updates int
}

func (c *countedUsers) Update(ctx context.Context, fn func(context.Context, accounts.Tx) error) error {
	c.updates++
	return c.Store.Update(ctx, fn)
}

func TestNothingToWriteOpensNoUpdateButToRecount(t *testing.T) {
	t.Parallel()
	backend := open(t)
	importAll(t, backend, good())
	catalogue, people := &counted{Store: backend.Courses}, &countedUsers{Store: backend.Accounts}
	copied := *backend
	copied.Courses, copied.Accounts = catalogue, people
	importAll(t, &copied, good())
	require.Equal(t, 1, catalogue.updates)
	require.Zero(t, people.updates)
}

func TestABatchThatMeetsAnotherWriterIsPlannedAgain(t *testing.T) {
	t.Parallel()
	backend := open(t)
	copied := *backend
	copied.Courses = &raced{Store: backend.Courses, before: func() { importAll(t, backend, good()) }}
	report, refused, _ := importAll(t, &copied, good())
	require.Empty(t, refused)
	require.Equal(t, transfer.Counts{Unchanged: 12}, report.Total())
}

// raced lets another import write everything just before its first Update.
type raced struct {
	courses.Store
	before func()
}

func (r *raced) Update(ctx context.Context, fn func(context.Context, courses.Tx) error) error {
	if before := r.before; before != nil {
		r.before = nil
		before()
	}
	return r.Store.Update(ctx, fn)
}

func TestProgressEndsAtTheEndOfEveryFile(t *testing.T) {
	t.Parallel()
	backend := open(t)
	last := map[string]transfer.Progress{}
	_, err := transfer.Import(t.Context(), backend, os.DirFS(folder(t, good())), &transfer.Options{
		Progress: func(p transfer.Progress) { last[p.File] = p },
	})
	require.NoError(t, err)
	require.Len(t, last, 5)
	for name, p := range last {
		require.Equal(t, int64(len(good()[name])), p.BytesTotal)
		require.Equal(t, p.BytesTotal, p.BytesRead)
		require.False(t, p.Checking)
	}
	require.Equal(t, 3, last["modules.csv"].Rows)
}

func TestFilesOfTheFormatThatAreNotReadYetAreNamed(t *testing.T) {
	t.Parallel()
	report, _, _ := importAll(t, open(t), map[string]string{"interactions.csv": "x", "notes.csv": "x"})
	require.Equal(t, []string{"interactions.csv"}, report.NotImported)
	require.Empty(t, report.Files)
}

func TestAFolderThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	_, err := transfer.Import(t.Context(), open(t), os.DirFS(filepath.Join(t.TempDir(), "nothing")), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestChangedUsersCostAFixedNumberOfStatements(t *testing.T) {
	t.Parallel()
	backend := open(t)
	statements := func(n int, role string) int {
		rows := usersHeader
		for i := range n {
			rows += fmt.Sprintf("user-%d,user-%d@example.org,%s,,,\n", i, i, role)
		}
		ctx, queries := storage.CountQueries(t.Context())
		report, err := transfer.Import(ctx, backend, os.DirFS(folder(t, map[string]string{"users.csv": rows})), nil)
		require.NoError(t, err)
		require.Equal(t, n, report.Total().Inserted+report.Total().Updated)
		return queries.Count()
	}
	statements(300, "student")
	few := statements(2, "teacher")
	require.Equal(t, few, statements(300, "producer"))
}
