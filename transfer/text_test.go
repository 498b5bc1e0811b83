package transfer_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/richtext"
	"github.com/ustat/ustat/internal/xsstest"
	"github.com/ustat/ustat/transfer"
)

func cell(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }

func TestLanguagesAndTitlesComeInAsTheyAreKept(t *testing.T) {
	t.Parallel()
	backend := open(t)
	row := func(slug, title, language string) string {
		return slug + "," + title + ",d," + language + ",a,ann,1.00,USD,draft,,\n"
	}
	_, refused, _ := importAll(t, backend, map[string]string{
		"categories.csv": "slug,name,parent\na,A,\n",
		"users.csv":      usersHeader + "ann,ann@example.org,teacher,Ann,,\n",
		"courses.csv": coursesHeader + row("one", "a\u202eb\u2066\tc", "PT-br") + row("two", "x", "français") + row("three", "x", "") +
			row("four", "x", "en_US") + row("five", "x", "Klingonese") + row("six", "\u200b", "en") + row("seven", "\u202e", "en"),
	})
	require.Equal(t, []string{
		`courses.csv:5:language: "en_US" is no language tag of BCP 47, such as ru or pt-BR`,
		`courses.csv:6:language: "Klingonese" is no language tag of BCP 47, such as ru or pt-BR`,
		`courses.csv:7:title: the cell has nothing that is seen`,
		`courses.csv:8:title: the cell is empty`,
	}, refused)
	for slug, want := range map[string][2]string{"one": {"ab c", "pt-BR"}, "two": {"x", "fr"}, "three": {"x", ""}} {
		c, err := backend.Courses.CourseBySlug(t.Context(), slug)
		require.NoError(t, err)
		require.Equal(t, want, [2]string{c.Title, c.Language})
	}
}

func TestRichTextComesInSafeAndTheSecondTimeUnchanged(t *testing.T) {
	t.Parallel()
	files := good()
	header := strings.TrimSpace(coursesHeader) + ",requirements\n"
	files["courses.csv"] = header + "go,Go," + cell(`<p onclick="x">A & <b>b</b></p><script>x</script>`) + ",en,web,ann,1,USD,published,,," + cell("R&D <i>x") + "\n"
	lesson := `<svg onload=alert(1)>x</svg><a href="javascript:x">y</a>`
	files["modules.csv"] = modulesHeader + "go,1,\"One\nand  only\"\n"
	files["lessons.csv"] = lessonsHeader + "go,1,1,First,text," + cell(lesson) + ",60\n"
	backend := open(t)
	report, refused, _ := importAll(t, backend, files)
	require.Empty(t, refused)
	c, err := backend.Courses.CourseBySlug(t.Context(), "go")
	require.NoError(t, err)
	require.Equal(t, "<p>A &amp; <b>b</b></p>", c.Description)
	require.Equal(t, "R&amp;D <i>x", c.Requirements)
	require.Equal(t, richtext.Version, c.TextPolicy)
	modules, err := backend.Courses.Modules(t.Context(), c.ID, 0, 10)
	require.NoError(t, err)
	require.Equal(t, "One and only", modules[0].Title)
	lessons, err := backend.Courses.Lessons(t.Context(), c.ID, 0, [2]int{}, 10)
	require.NoError(t, err)
	require.Equal(t, "xy", lessons[0].Content)
	require.Equal(t, richtext.Version, lessons[0].TextPolicy)
	for _, text := range []string{c.Description, c.Requirements, lessons[0].Content} {
		require.NoError(t, xsstest.Harmless(text))
	}
	again, _, _ := importAll(t, backend, files)
	require.Equal(t, transfer.Counts{Unchanged: report.Total().Inserted}, again.Total())

	// What was written under an older policy is written anew, once.
	require.NoError(t, backend.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) error {
		c.TextPolicy, c.Requirements = 0, "<script>"
		return tx.UpdateCourses(ctx, []courses.Course{c})
	}))
	files["courses.csv"] = strings.Replace(strings.Replace(files["courses.csv"], ",requirements", "", 1), ","+cell("R&D <i>x"), "", 1)
	again, refused, _ = importAll(t, backend, files)
	require.Empty(t, refused)
	require.Equal(t, 1, again.Total().Updated)
	c, err = backend.Courses.CourseBySlug(t.Context(), "go")
	require.NoError(t, err)
	require.Equal(t, "", c.Requirements)
	again, _, _ = importAll(t, backend, files)
	require.Zero(t, again.Total().Updated)
}

func TestReservedAndOldSlugsAreRefused(t *testing.T) {
	t.Parallel()
	backend := open(t)
	_, refused, _ := importAll(t, backend, good())
	require.Empty(t, refused)
	c, err := backend.Courses.CourseBySlug(t.Context(), "go")
	require.NoError(t, err)
	require.NoError(t, backend.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) error {
		c.Slug = "golang"
		return tx.UpdateCourses(ctx, []courses.Course{c})
	}))
	files := map[string]string{"courses.csv": coursesHeader +
		"go,Go,,en,web,ann,1,USD,published,,\n" +
		"search,Search,,en,web,ann,1,USD,published,,\n" +
		"fine,Fine,,en,web,ann,1,USD,published,,\n" +
		"large," + "L," + strings.Repeat("&", 50_000) + ",en,web,ann,1,USD,published,,\n"}
	report, refused, _ := importAll(t, backend, files)
	require.Equal(t, []string{
		`courses.csv:2:slug: a course had the slug "go" before it was renamed, and keeps it`,
		`courses.csv:3:slug: "search" is reserved`,
		`courses.csv:5:description: longer than 100000 bytes once it is made safe`,
	}, refused)
	require.Equal(t, 1, report.Total().Inserted)
	_, err = backend.Courses.CourseBySlug(t.Context(), "go")
	require.ErrorIs(t, err, core.ErrNotFound)
}

func TestAStoredCourseKeepsASlugThatHasBecomeReserved(t *testing.T) {
	t.Parallel()
	backend := open(t)
	importAll(t, backend, good())
	ann, err := backend.Accounts.UserByUsername(t.Context(), "ann")
	require.NoError(t, err)
	require.NoError(t, backend.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) error {
		_, err := tx.InsertCourses(ctx, []courses.Course{{
			Slug: "search", Title: "Old", Status: courses.Draft, Price: core.Money{Currency: "USD"}, Teacher: courses.Teacher{ID: ann.ID},
		}})
		return err
	}))
	report, refused, _ := importAll(t, backend, map[string]string{"courses.csv": coursesHeader + "search,New,,en,web,ann,1,USD,draft,,\n"})
	require.Empty(t, refused)
	require.Equal(t, transfer.Counts{Updated: 1}, report.Total())
}
