package transfer_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/richtext"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/transfer"
	"github.com/ustat/ustat/ustattest"
)

// without is a folder without a file, and only one with nothing else.
type (
	without struct {
		fs.FS
		name string
	}
	only without
)

func (f without) Open(name string) (fs.File, error) {
	if name == f.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return f.FS.Open(name)
}

func (f only) Open(name string) (fs.File, error) {
	if name != f.name && name != "." {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return f.FS.Open(name)
}

// exported exports a backend with its passwords and returns the folder.
func exported(t testing.TB, b *storage.Backend) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	_, err := transfer.Export(t.Context(), b, dir, &transfer.ExportOptions{Passwords: true})
	require.NoError(t, err)
	return dir
}

// outAndIn exports a backend, imports that into an empty one and exports it again.
func outAndIn(t testing.TB, from, to *storage.Backend) {
	t.Helper()
	first := exported(t, from)
	report, err := transfer.Import(t.Context(), to, os.DirFS(first), &transfer.Options{
		Refused: func(r transfer.Refusal) { t.Error(r) }, Warned: func(w transfer.Warning) { t.Error(w) },
	})
	require.NoError(t, err)
	require.Empty(t, report.NotImported)
	require.Equal(t, report.Total().Rows(), report.Total().Inserted)
	require.NoError(t, ustattest.CheckInvariants(t.Context(), to))
	second := exported(t, to)
	names, err := os.ReadDir(first)
	require.NoError(t, err)
	require.Len(t, names, 9)
	for _, name := range names {
		one, err := os.ReadFile(filepath.Join(first, name.Name()))
		require.NoError(t, err)
		two, err := os.ReadFile(filepath.Join(second, name.Name()))
		require.NoError(t, err)
		require.True(t, bytes.Equal(one, two), "%s differs", name.Name())
		require.Positive(t, bytes.Count(one, []byte("\n")), name.Name())
	}
}

// awkward is a small platform with everything that the files can hold, in an order
// that is not theirs, and what is stored though no import would write it so.
func awkward(t testing.TB, b *storage.Backend) {
	t.Helper()
	files := good()
	files["categories.csv"] = "slug,name,parent\nzoo,Zoo,\nart,\"Art, \"\"fine\"\"\",zoo\n" + strings.TrimPrefix(files["categories.csv"], "slug,name,parent\n")
	files["users.csv"] = strings.Replace(usersHeader, "\n", ",active\n", 1) + "zed,zed@example.org,producer,Zed,,,true\n" +
		"ann,Ann@Example.org,teacher,\"Ёлкина, Дарья\",\"=1+1\n-2 🎓\",\"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s\",true\n" +
		"bob,bob@example.org,student,,,,true\ngone,gone@example.org,producer,,\" @x\",,false\ncyd,cyd@example.org,student,,,,\ndee,dee@example.org,student,,,,\n"
	files["courses.csv"] = strings.Replace(coursesHeader, "\n", ",requirements,capacity\n", 1) +
		"zen,Дзен,\"<p>two<br>lines &amp; <b>bold</b></p>\",ru,art,ann,0.10,KWD,archived,Ёж;C++;.NET,2024-01-02T03:04:05.123456Z,<p>None</p>,2\n" +
		"go,Go,Learn,pt-BR,web,ann,1500,JPY,published,,2024-01-02T03:04:05Z,,1\n" + "a,=A,,,it,ann,10.50,USD,review,,2023-01-02T03:04:05+02:00,,\n"
	files["modules.csv"] = strings.Replace(modulesHeader, "\n", ",description\n", 1) + "zen,7,Seven,<p>Of seven</p>\nzen,2,Two,\ngo,1,One,\n"
	files["lessons.csv"] = strings.Replace(lessonsHeader, "\n", ",free_preview,opens_at,opens_after_days\n", 1) +
		"zen,7,9,Last,video,,3600,true,2030-01-01T00:00:00Z,\nzen,7,3,\"First, \"\"quoted\"\"\",file,\"<p>x</p>\n<p>y</p>\",,false,,30\nzen,2,1,Only,text,Hello,60,,,\ngo,1,1,Go,text,Hi,0,,,\n"
	files["enrollments.csv"] = enrollmentsHeader +
		"zen,zed,,,2024-05-01T00:00:00Z,cancelled,grant,2024-05-01T00:00:00Z,2024-05-02T00:00:00Z\n" +
		"zen,dee,0.100,KWD,2024-05-01T00:00:00.000001Z,completed,purchase,,2024-05-01T10:00:00Z\n" +
		"zen,bob,0,USD,2024-05-01T00:00:00.000001Z,active,free,2024-05-01T00:00:00Z,\n" + // the same moment: in the order of the file
		"go,dee,1500,JPY,2024-05-01T00:00:00Z,active,purchase,,\n" +
		"go,cyd,1500,JPY,2024-05-02T00:00:00Z,waiting,purchase,,\ngo,bob,1500,JPY,2024-05-02T00:00:00Z,refunded,purchase,,\n"
	files["progress.csv"] = progressHeader + "zen,zed,7,9,2024-05-01T00:00:00.5Z\nzen,dee,7,3,2024-05-03T00:00:00Z\nzen,dee,2,1,2024-05-02T00:00:00Z\ngo,bob,1,1,2024-05-02T00:00:00Z\n"
	files["reviews.csv"] = reviewsHeader + "zen,zed,5,\"=Ёлка, \"\"yes\"\"\n\n🎓\",2024-05-01T00:00:00.5Z,published\nzen,bob,1,,2024-05-01T00:00:00Z,hidden\n" +
		"zen,dee,3,a,2024-05-01T00:00:00.5Z,published\nzen,ann,4,mine,2024-05-03T00:00:00Z,pending\ngo,bob,2,b,2024-04-01T00:00:00Z,rejected\n"
	files["translations.csv"] = translationsHeader + "tag,c-plus-plus,kk,Си++,,\ncategory,art,en-GB,\"Art, \"\"fine\"\"\",,\nlesson,zen/7/3,en,First,\"<p>x</p>\n<p>y</p>\",\n" +
		"module,zen/7,en,Seven,<p>Of seven</p>,\ncourse,zen,en,Zen,<p>two</p>,<p>None</p>\ncourse,zen,kk,=Дзен,,\n"
	_, refused, warned := importAll(t, b, files)
	require.Empty(t, refused)
	require.Empty(t, warned)

	// What services write and an import would not.
	zed, err := b.Accounts.UserByUsername(t.Context(), "zed")
	require.NoError(t, err)
	zed.Bio = "a\r\nb\rc"
	require.NoError(t, b.Accounts.Update(t.Context(), func(ctx context.Context, tx accounts.Tx) error { return tx.UpdateUsers(ctx, zed) }))
	a, err := b.Courses.CourseBySlug(t.Context(), "a")
	require.NoError(t, err)
	a.Description, a.TextPolicy = "plain < text\n<script>", 0 // of an old policy
	require.NotZero(t, richtext.Version)
	require.NoError(t, b.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) error {
		for _, tag := range []courses.Tag{{Slug: "own-slug", Name: "Another name"}, {Slug: "semi-colon", Name: "semi; colon"}} {
			made, err := tx.InsertTag(ctx, tag)
			if err != nil {
				return err
			}
			a.Tags = append(a.Tags, made)
		}
		return tx.UpdateCourses(ctx, []courses.Course{a})
	}))
}

func TestOutAndInAgainIsTheSamePlatform(t *testing.T) {
	t.Parallel()
	for from, openFrom := range engines {
		for to, openTo := range engines {
			t.Run(from+" to "+to, func(t *testing.T) {
				t.Parallel()
				b := openFrom(t)
				awkward(t, b)
				outAndIn(t, b, openTo(t))
			})
		}
	}
}

func TestTheRealCatalogueOutAndInAgain(t *testing.T) {
	if os.Getenv("USTAT_TEST_SCALE") == "" {
		t.Skip("set USTAT_TEST_SCALE to export 50,000 rows")
	}
	t.Parallel()
	onEngines(t, func(t *testing.T, open func(testing.TB) *storage.Backend) {
		b := open(t)
		_, err := transfer.Import(t.Context(), b, os.DirFS(catalog(t)), nil)
		require.NoError(t, err)
		outAndIn(t, b, open(t))
	})
}

// rowsOf reads a file of an export.
func rowsOf(t testing.TB, dir, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	require.NoError(t, err)
	return rows
}

func TestAnExportIsInOrderAndSaysWhatIsStored(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open func(testing.TB) *storage.Backend) {
		b := open(t)
		awkward(t, b)
		dir := exported(t, b)
		require.Equal(t, [][]string{
			{"course", "user", "price_paid", "currency", "enrolled_at", "status", "source", "started_at", "completed_at"},
			{"go", "dee", "1500", "JPY", "2024-05-01T00:00:00Z", "active", "purchase", "", ""},
			{"go", "cyd", "1500", "JPY", "2024-05-02T00:00:00Z", "waiting", "purchase", "", ""},
			{"go", "bob", "1500", "JPY", "2024-05-02T00:00:00Z", "refunded", "purchase", "", ""},
			{"zen", "zed", "0.000", "KWD", "2024-05-01T00:00:00Z", "cancelled", "grant", "2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z"},
			{"zen", "dee", "0.100", "KWD", "2024-05-01T00:00:00.000001Z", "completed", "purchase", "", "2024-05-01T10:00:00Z"},
			{"zen", "bob", "0.00", "USD", "2024-05-01T00:00:00.000001Z", "active", "free", "2024-05-01T00:00:00Z", ""},
		}, rowsOf(t, dir, "enrollments.csv"))
		require.Equal(t, [][]string{
			{"course", "user", "module_position", "position", "completed_at"},
			{"go", "bob", "1", "1", "2024-05-02T00:00:00Z"},
			{"zen", "zed", "7", "9", "2024-05-01T00:00:00.5Z"},
			{"zen", "dee", "2", "1", "2024-05-02T00:00:00Z"},
			{"zen", "dee", "7", "3", "2024-05-03T00:00:00Z"},
		}, rowsOf(t, dir, "progress.csv"))
		require.Equal(t, [][]string{
			{"course", "user", "rating", "text", "created_at", "status"},
			{"go", "bob", "2", "b", "2024-04-01T00:00:00Z", "rejected"},
			{"zen", "bob", "1", "", "2024-05-01T00:00:00Z", "hidden"},
			{"zen", "ann", "4", "mine", "2024-05-03T00:00:00Z", "pending"},
			{"zen", "zed", "5", "=Ёлка, \"yes\"\n\n🎓", "2024-05-01T00:00:00.5Z", "published"}, // the same moment: in the order of the file
			{"zen", "dee", "3", "a", "2024-05-01T00:00:00.5Z", "published"},
		}, rowsOf(t, dir, "reviews.csv"))
		users := rowsOf(t, dir, "users.csv")
		require.Equal(t, []string{"ann", "Ann@Example.org", "teacher", "Ёлкина, Дарья", "=1+1\n-2 🎓", "true", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s"}, users[1])
		require.Equal(t, []string{"gone", "gone@example.org", "producer", "", " @x", "false", ""}, users[5])
		require.Equal(t, "a\nb\rc", users[6][4])
		require.Equal(t, "own-slug;semi-colon", rowsOf(t, dir, "courses.csv")[1][9])
		info, err := os.Stat(filepath.Join(dir, "users.csv"))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), "it has people's addresses")

		plain := filepath.Join(t.TempDir(), "plain")
		done, err := transfer.Export(t.Context(), b, plain, nil)
		require.NoError(t, err)
		require.Equal(t, []string{"username", "email", "role", "full_name", "bio", "active"}, rowsOf(t, plain, "users.csv")[0])
		var names []string
		for _, f := range done {
			names = append(names, f.File)
			require.Len(t, rowsOf(t, plain, f.File), f.Rows+1)
		}
		require.Equal(t, []string{"categories.csv", "users.csv", "courses.csv", "modules.csv", "lessons.csv", "translations.csv", "enrollments.csv", "progress.csv", "reviews.csv"}, names)
	})
}

func TestADisabledUserStaysDisabledAndIsNoAdminThatCounts(t *testing.T) {
	t.Parallel()
	b := open(t)
	importAll(t, b, map[string]string{"users.csv": "username,email,role,active\nroot,root@example.org,admin,true\ngone,gone@example.org,admin,false\n"})
	gone, err := b.Accounts.UserByUsername(t.Context(), "gone")
	require.NoError(t, err)
	require.False(t, gone.Active)
	_, refused, _ := importAll(t, b, map[string]string{"users.csv": "username,email,role,active\nroot,root@example.org,student,true\n"})
	require.Equal(t, []string{"users.csv:2:role: this is the last active admin"}, refused)
	report, refused, _ := importAll(t, b, map[string]string{"users.csv": "username,email,role,active\ngone,gone@example.org,admin,true\nnew,new@example.org,student,perhaps\n"})
	require.Equal(t, []string{`users.csv:3:active: "perhaps" is none of [true false]`}, refused)
	require.Equal(t, 1, report.Total().Unchanged, "an import enables nobody")
}

func TestAnExportThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	b := open(t)
	awkward(t, b)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "modules.csv"), []byte("mine"), 0o600))
	_, err := transfer.Export(t.Context(), b, dir, nil)
	require.ErrorIs(t, err, core.ErrConflict)
	text, err := os.ReadFile(filepath.Join(dir, "modules.csv"))
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))

	for _, call := range []string{"courses", "progress"} {
		copied := *b
		copied.Courses = awayStore{b.Courses, call}
		dir := t.TempDir()
		_, err := transfer.Export(t.Context(), &copied, dir, nil)
		require.ErrorIs(t, err, errAway)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = transfer.Export(ctx, b, dir+"-2", nil)
	require.ErrorIs(t, err, context.Canceled)
}

var errAway = errors.New("the store is away")

// awayStore is a store of which one method fails.
type awayStore struct {
	courses.Store
	call string
}

func (f awayStore) CoursesAfter(ctx context.Context, after string, limit int) ([]courses.Course, error) {
	if f.call == "courses" {
		return nil, errAway
	}
	return f.Store.CoursesAfter(ctx, after, limit)
}

func (f awayStore) ProgressOf(ctx context.Context, ids []courses.EnrollmentID, visit func(courses.Place, courses.LessonProgress) error) error {
	if f.call == "progress" {
		return errAway
	}
	return f.Store.ProgressOf(ctx, ids, visit)
}

func TestPagesOfAnExportMeetAtTheirEdges(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open func(testing.TB) *storage.Backend) {
		b := open(t)
		files := good()
		var users, rows strings.Builder
		users.WriteString(files["users.csv"])
		rows.WriteString(enrollmentsHeader)
		var names []string
		for i := range 2000 { // two whole pages
			name := fmt.Sprintf("learner-%04d", i*7919%2000)
			names = append(names, name)
			fmt.Fprintf(&users, "%s,%[1]s@example.org,student,,,\n", name)
			fmt.Fprintf(&rows, "go,%s,,,2024-05-01T00:00:00Z,,,,\n", name)
		}
		files["users.csv"], files["enrollments.csv"] = users.String(), rows.String()
		importAll(t, b, files)
		dir := exported(t, b)
		var got []string
		for _, row := range rowsOf(t, dir, "enrollments.csv")[1:] {
			got = append(got, row[1])
		}
		require.Equal(t, names, got)
		slices.Sort(names)
		require.Len(t, rowsOf(t, dir, "users.csv"), 2000+2+1)
		last := ""
		for _, row := range rowsOf(t, dir, "users.csv")[1:] {
			require.Less(t, last, row[0])
			last = row[0]
		}
	})
}
