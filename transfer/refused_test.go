package transfer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/transfer"
)

func TestBadCategoriesAreRefused(t *testing.T) {
	t.Parallel()
	backend := open(t)
	importAll(t, backend, map[string]string{"categories.csv": "slug,name,parent\nold,Old,\nyoung,Young,old\n"})
	report, refused, _ := importAll(t, backend, map[string]string{"categories.csv": "slug,name,parent\n" +
		"a,A,b\n" + // 2: a cycle of two
		"b,B,a\n" +
		"c,C,nowhere\n" + // 4
		"d,D,c\n" + // 5: its parent was refused
		"e,E,late\n" + // 6: fine
		"late,Late,young\n" +
		"old,Old,young\n" + // 8: a cycle with a stored one
		"self,Self,self\n" +
		"e,Again,\n" + // 10
		"Bad Slug,X,\n" +
		"f,,\n" + // 12
		"g," + strings.Repeat("я", 201) + ",\n" +
		"h," + strings.Repeat("я", 200) + ",e\n"}) // 14: fine
	require.Equal(t, []string{
		`categories.csv:2:parent: "b" is below this category: a tree has no cycles`,
		`categories.csv:3:parent: "a" is below this category: a tree has no cycles`,
		`categories.csv:4:parent: there is no category "nowhere", here or stored`,
		`categories.csv:5:parent: there is no category "c", here or stored`,
		`categories.csv:8:parent: "young" is below this category: a tree has no cycles`,
		`categories.csv:9:parent: "self" is below this category: a tree has no cycles`,
		`categories.csv:10:slug: an earlier row of this file has the same`,
		`categories.csv:11:slug: "Bad Slug" is no slug: 1 to 120 of a-z, 0-9 and -, with a letter or digit at both ends`,
		`categories.csv:12:name: the cell is empty`,
		`categories.csv:13:name: longer than 200 characters`,
	}, refused)
	require.Equal(t, 3, report.Total().Inserted)
	found, err := backend.Courses.CategoriesBySlug(t.Context(), []string{"e", "late", "h"})
	require.NoError(t, err)
	parents := map[string]string{}
	for _, c := range found {
		parents[c.Slug] = c.Parent
	}
	require.Equal(t, map[string]string{"e": "late", "late": "young", "h": "e"}, parents)
}

func TestCategoriesThatAreTooDeepAreRefused(t *testing.T) {
	t.Parallel()
	backend := open(t)
	chain := func(prefix, parent string, n int) string {
		var rows strings.Builder
		for i := 1; i <= n; i++ {
			fmt.Fprintf(&rows, "%s%d,Name,%s\n", prefix, i, parent)
			parent = fmt.Sprint(prefix, i)
		}
		return rows.String()
	}
	const header = "slug,name,parent\n"
	_, refused, _ := importAll(t, backend, map[string]string{"categories.csv": header + chain("a", "", 18) + chain("b", "", 16)})
	const deep = ":parent: it, or a category below it, would be deeper than 16"
	require.Equal(t, []string{"categories.csv:18" + deep, "categories.csv:19" + deep}, refused)
	// A stored category comes below another, with those below it that the file does not name.
	report, refused, _ := importAll(t, backend, map[string]string{"categories.csv": header + "top,Top,\nb1,Moved,top\nb16,Renamed,b15\na17,Late,top\n"})
	require.Equal(t, []string{"categories.csv:3" + deep}, refused)
	require.Equal(t, 2, report.Total().Inserted)
	require.Equal(t, 1, report.Total().Updated)

	// What is stored too deep stays there, and may be named.
	require.NoError(t, backend.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) error {
		found, err := tx.CategoriesBySlug(ctx, []string{"b16"})
		if err == nil {
			_, err = tx.InsertCategories(ctx, []courses.Category{{Slug: "b17", Name: "Old", ParentID: found[0].ID}})
		}
		return err
	}))
	_, refused, _ = importAll(t, backend, map[string]string{"categories.csv": header + "b1,First,\nb17,Seventeenth,b16\nb18,More,b17\n"})
	require.Equal(t, []string{"categories.csv:4" + deep}, refused)
}

func TestBadUsersAreRefused(t *testing.T) {
	t.Parallel()
	backend := open(t)
	importAll(t, backend, map[string]string{"users.csv": usersHeader + "old,old@example.org,student,,,\n"})
	report, refused, _ := importAll(t, backend, map[string]string{"users.csv": usersHeader +
		"ann,ann@example.org,teacher,Ann,\"a\nbio\",\n" + // 2 and 3: fine
		"x,x@example.org,student,,,\n" + // 4
		"Upper,u@example.org,student,,,\n" +
		"mail,no-mail,student,,,\n" + // 6
		"role,role@example.org,owner,,,\n" +
		"hash,hash@example.org,student,,,plain-secret\n" + // 8
		"django,django@example.org,student,,,pbkdf2_sha256$1$x$a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\n" + // fine
		"thief,OLD@example.org,student,,,\n" + // 10: a stored user's
		"twin,Ann@Example.org,student,,,\n" +
		"ann,other@example.org,student,,,\n" + // 12
		"bio,bio@example.org,student,," + strings.Repeat("b", 5001) + ",\n" +
		"last,last@example.org,student,,,\n"}) // fine
	require.Equal(t, []string{
		`users.csv:4:username: "x" is no username: 3 to 64 of a-z, 0-9, _, . and -, with a letter or digit in front`,
		`users.csv:5:username: "Upper" is no username: 3 to 64 of a-z, 0-9, _, . and -, with a letter or digit in front`,
		`users.csv:6:email: "no-mail" is no e-mail address`,
		`users.csv:7:role: "owner" is none of [student teacher producer admin]`,
		`users.csv:8:password_hash: the hash is neither an argon2id PHC string nor Django's pbkdf2_sha256$… within their bounds`,
		`users.csv:10:email: another user has this e-mail address`,
		`users.csv:11:email: an earlier row of this file has the same`,
		`users.csv:12:username: an earlier row of this file has the same`,
		`users.csv:13:bio: longer than 5000 characters`,
	}, refused)
	require.Equal(t, 3, report.Total().Inserted)
}

func TestAKeyIsFoundAgainFarBelow(t *testing.T) {
	t.Parallel()
	var users strings.Builder
	users.WriteString(usersHeader)
	write := func(i int) {
		fmt.Fprintf(&users, "user-%d,user-%d@example.org,student,,,\n", i, i)
	}
	for i := range 3000 {
		write(i)
	}
	users.WriteString("other,USER-2@example.org,student,,,\n") // 3002
	write(1)
	write(2999)
	backend := open(t)
	report, refused, _ := importAll(t, backend, map[string]string{"users.csv": users.String()})
	require.Equal(t, []string{
		"users.csv:3002:email: an earlier row of this file has the same",
		"users.csv:3003:username: an earlier row of this file has the same",
		"users.csv:3004:username: an earlier row of this file has the same",
	}, refused)
	require.Equal(t, 3000, report.Total().Inserted)
}

func TestBadCoursesAreRefusedAtTheLineWhereTheyStart(t *testing.T) {
	t.Parallel()
	row := func(slug, title, category, teacher, price, currency, status, tags, created string) string {
		return strings.Join([]string{slug, title, "d", "en", category, teacher, price, currency, status, tags, created, "red"}, ",") + "\r\n"
	}
	files := good()
	delete(files, "modules.csv")
	delete(files, "lessons.csv")
	files["courses.csv"] = "\ufeff" + strings.TrimSpace(coursesHeader) + ",colour\r\n" +
		row("one", "\"many\r\nlines\r\n\"", "it", "ann", "1", "USD", "draft", "", "") + // 2 to 4: fine
		row("category", "T", "none", "ann", "1", "USD", "draft", "", "") + // 5
		"\r\n" + // 6 is blank
		row("teacher", "T", "it", "nobody", "1", "USD", "draft", "", "") +
		row("student", "T", "it", "bob", "1", "USD", "draft", "", "") + // 8
		row("negative", "T", "it", "ann", "-1", "USD", "draft", "", "") +
		row("digits", "T", "it", "ann", "1.001", "USD", "draft", "", "") + // 10
		row("money", "T", "it", "ann", "1", "ZZZ", "draft", "", "") +
		row("status", "T", "it", "ann", "1", "USD", "open", "", "") + // 12
		row("Bad", "T", "it", "ann", "1", "USD", "draft", "", "") +
		row("time", "T", "it", "ann", "1", "USD", "draft", "", "yesterday") + // 14
		row("utf8", "a\xffb", "it", "ann", "1", "USD", "draft", "", "") +
		row("nul", "a\x00b", "it", "ann", "1", "USD", "draft", "", "") + // 16
		row("quote", `a"b`, "it", "ann", "1", "USD", "draft", "", "") +
		row("quoted", `"a"b`, "it", "ann", "1", "USD", "draft", "", "") + // 18
		row("one", "T", "it", "ann", "1", "USD", "draft", "", "") +
		row("long", strings.Repeat("ж", 201), "it", "ann", "1", "USD", "draft", "", "") + // 20
		row("huge", strings.Repeat("h", 1<<20+1), "it", "ann", "1", "USD", "draft", "", "") +
		row("tagged", "T", "it", "ann", "1", "USD", "draft", manyTags(33), "") + // 22
		row("tag", "T", "it", "ann", "1", "USD", "draft", strings.Repeat("t", 101), "") +
		row("signs", "T", "it", "ann", "1", "USD", "draft", "ok;!!", "") + // 24
		row("yen", "T", "it", "ann", "100.5", "JPY", "draft", "", "") +
		"few,T,d\r\n" + // 26
		row("last", "T", "it", "ann", "1.10", "USD", "archived", "", "") + // fine
		"many,T,d,en,it,ann,1,USD,draft,,,,,\r\n" // 28
	report, refused, warned := importAll(t, open(t), files)
	require.Equal(t, []string{
		`courses.csv:5:category: there is no category "none"`,
		`courses.csv:7:teacher: there is no user "nobody"`,
		`courses.csv:8:teacher: the user "bob" is a student and may not teach`,
		`courses.csv:9:price: "-1" is negative`,
		`courses.csv:10:price: "1.001" is no amount of USD: at most 2 digits after the point`,
		`courses.csv:11:currency: "ZZZ" is no currency of ISO 4217`,
		`courses.csv:12:status: "open" is none of [draft review published archived]`,
		`courses.csv:13:slug: "Bad" is no slug: 1 to 120 of a-z, 0-9 and -, with a letter or digit at both ends`,
		`courses.csv:14:created_at: "yesterday" is no time of RFC 3339, such as 2024-02-29T08:15:00Z`,
		`courses.csv:15:title: the cell is not valid UTF-8`,
		`courses.csv:16:title: the cell has a NUL byte`,
		`courses.csv:17:title: a quote (") in a cell that is not quoted, at line 17, byte 8`,
		`courses.csv:18:title: a quote (") that is not doubled, or that is never closed, at line 18, byte 10`,
		`courses.csv:19:slug: an earlier row of this file has the same`,
		`courses.csv:20:title: longer than 200 characters`,
		`courses.csv:21:title: the cell is longer than 1 MiB`,
		`courses.csv:22:tags: more than 32 tags`,
		`courses.csv:23:tags: the tag "` + strings.Repeat("t", 64) + `…" is longer than 100 characters`,
		`courses.csv:24:tags: the tag "!!" has no letter or digit`,
		`courses.csv:25:price: "100.5" is no amount of JPY: at most 0 digits after the point`,
		`courses.csv:26:language: the record ends before this column: it has 3 of 12 cells`,
		`courses.csv:28: the record has 14 cells, the header 12`,
	}, refused)
	require.Equal(t, []string{`courses.csv:1:colour: the column is unknown and was not read`}, warned)
	require.Equal(t, transfer.Counts{Inserted: 2, Refused: 22, Warnings: 1}, report.Files[2].Counts)
}

func manyTags(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = "tag" + strings.Repeat("x", i)
	}
	return strings.Join(names, ";")
}

func TestBadModulesAndLessonsAreRefused(t *testing.T) {
	t.Parallel()
	files := good()
	files["modules.csv"] = modulesHeader + "go,1,One\nnone,1,X\ngo,0,X\ngo,two,X\ngo,1,Again\ngo,2,\ngo,99999999999,X\ngo,3,Three\n"
	files["lessons.csv"] = lessonsHeader + "go,1,1,A,text,,\ngo,2,1,A,text,,\nnone,1,1,A,text,,\ngo,1,-1,A,text,,\n" +
		"go,1,1,B,text,,\ngo,1,2,B,song,,\ngo,1,3,C,text," + strings.Repeat("c", 500_001) + ",\ngo,1,4,D,text,,-5\ngo,3,1,E,text,,5\n"
	report, refused, _ := importAll(t, open(t), files)
	require.Equal(t, []string{
		`modules.csv:3:course: there is no course "none"`,
		`modules.csv:4:position: "0" is less than 1`,
		`modules.csv:5:position: "two" is no whole number`,
		`modules.csv:6:position: an earlier row of this file has the same`,
		`modules.csv:7:title: the cell is empty`,
		`modules.csv:8:position: "99999999999" is more than 2147483647`,
		`lessons.csv:3:module_position: the course "go" has no module 2`,
		`lessons.csv:4:course: there is no course "none"`,
		`lessons.csv:5:position: "-1" is less than 1`,
		`lessons.csv:6:position: an earlier row of this file has the same`,
		`lessons.csv:7:kind: "song" is none of [text video file]`,
		`lessons.csv:8:content: longer than 500000 bytes`,
		`lessons.csv:9:duration_seconds: "-5" is less than 0`,
	}, refused)
	require.Equal(t, 2, report.Files[3].Inserted)
	require.Equal(t, 2, report.Files[4].Inserted)
}

func TestAFileWhoseHeaderIsBadIsRefused(t *testing.T) {
	t.Parallel()
	files := good()
	files["courses.csv"] = strings.Replace(files["courses.csv"], "slug,title,", "slug,name,", 1)
	files["modules.csv"] = "course,position,title,title\nx,1,A,B\n"
	files["lessons.csv"] = ""
	report, refused, _ := importAll(t, open(t), files)
	require.Equal(t, []string{
		`courses.csv:1:title: the column is missing`,
		`modules.csv:1:title: the column is there twice`,
		`lessons.csv:1: the file is empty: a header is expected`,
	}, refused)
	for _, f := range report.Files[2:] {
		require.True(t, f.Incomplete, f.File)
		require.Zero(t, f.Inserted)
	}
}

func TestAQuoteThatIsNeverClosedEndsTheFileAfter16MiB(t *testing.T) {
	t.Parallel()
	files := good()
	files["modules.csv"] = modulesHeader + "go,1,One\ngo,2,\"Two\n" + strings.Repeat("go,3,Three\n", 4<<20)
	delete(files, "lessons.csv")
	report, refused, _ := importAll(t, open(t), files)
	require.Equal(t, []string{
		`modules.csv:3:title: the record is longer than 16 MiB (a quote that is never closed?): the rest of the file was not read`,
	}, refused)
	require.True(t, report.Files[3].Incomplete)
	require.Equal(t, 1, report.Files[3].Inserted)

	files["modules.csv"] = modulesHeader + "go,1,One\n\"go,2,Two\n"
	_, refused, _ = importAll(t, open(t), files)
	require.Equal(t, []string{
		`modules.csv:3:course: a quote (") that is not doubled, or that is never closed, at line 3, byte 11`,
	}, refused)
}

func TestAnImportKeepsTheLastAdminAndTheTeachersOfCourses(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *storage.Backend{"sqlite": open, "postgres": openPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := open(t)
			importAll(t, backend, good())
			importAll(t, backend, map[string]string{"users.csv": usersHeader +
				"boss,boss@example.org,admin,,,\nchief,chief@example.org,admin,,,\ncyd,cyd@example.org,teacher,,,\n"})
			report, refused, _ := importAll(t, backend, map[string]string{"users.csv": usersHeader +
				"boss,boss@example.org,student,,,\n" +
				"chief,chief@example.org,teacher,,,\n" + // 3
				"ann,ann@example.org,student,,,\n" +
				"cyd,cyd@example.org,student,,,\n"})
			require.Equal(t, []string{
				"users.csv:3:role: this is the last active admin",
				"users.csv:4:role: the user has courses: give them to another teacher first",
			}, refused)
			require.Equal(t, transfer.Counts{Updated: 2, Refused: 2}, report.Total())
			require.Equal(t, map[string]core.Role{"boss": core.Student, "chief": core.Admin, "ann": core.Teacher, "cyd": core.Student},
				roles(t, backend, "boss", "chief", "ann", "cyd"))

			_, refused, _ = importAll(t, backend, map[string]string{"users.csv": usersHeader +
				"heir,heir@example.org,admin,,,\n" + // then there is another
				"chief,chief@example.org,teacher,,,\n" +
				"heir2,heir2@example.org,teacher,,,\n"})
			require.Empty(t, refused)
			require.Equal(t, map[string]core.Role{"heir": core.Admin, "chief": core.Teacher}, roles(t, backend, "heir", "chief"))
		})
	}
}

func TestAnImportThatMeetsADemotionKeepsTheLastAdmin(t *testing.T) {
	t.Parallel()
	backend := open(t)
	importAll(t, backend, map[string]string{"users.csv": usersHeader + "boss,boss@example.org,admin,,,\nchief,chief@example.org,admin,,,\n"})
	copied := *backend
	copied.Accounts = &racedUsers{Store: backend.Accounts, before: func() {
		importAll(t, backend, map[string]string{"users.csv": usersHeader + "chief,chief@example.org,student,,,\n"})
	}}
	_, refused, _ := importAll(t, &copied, map[string]string{"users.csv": usersHeader + "boss,boss@example.org,student,,,\n"})
	require.Equal(t, []string{"users.csv:2:role: this is the last active admin"}, refused)
	require.Equal(t, map[string]core.Role{"boss": core.Admin, "chief": core.Student}, roles(t, backend, "boss", "chief"))
}

// racedUsers has something done just before its first Update.
type racedUsers struct {
	accounts.Store
	before func()
}

func (r *racedUsers) Update(ctx context.Context, fn func(context.Context, accounts.Tx) error) error {
	if before := r.before; before != nil {
		r.before = nil
		before()
	}
	return r.Store.Update(ctx, fn)
}

func roles(t testing.TB, backend *storage.Backend, names ...string) map[string]core.Role {
	t.Helper()
	users, err := backend.Accounts.UsersByName(t.Context(), names, nil)
	require.NoError(t, err)
	out := map[string]core.Role{}
	for _, u := range users {
		out[u.Username] = u.Role
	}
	return out
}
