package transfer_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/transfer"
)

const translationsHeader = "object,key,language,title,description,requirements\n"

func TestTranslationsAreImported(t *testing.T) {
	t.Parallel()
	b := open(t)
	files := good()
	files["translations.csv"] = translationsHeader +
		"course,go,RU,Го,<p>Учите <script>x</script></p>,Ничего\nmodule,go/2,ru,Два,,\nlesson,go/1/2,ru,Второй,,\ncategory,it,ru,ИТ,,\ntag,c-sharp,ru,Си-шарп,,\n"
	report, refused, warned := importAll(t, b, files)
	require.Empty(t, refused)
	require.Empty(t, warned)
	require.Equal(t, transfer.Counts{Inserted: 17}, report.Total())

	c, err := b.Courses.CourseBySlug(t.Context(), "go")
	require.NoError(t, err)
	of := []courses.Object{{Kind: courses.CourseObject, ID: int64(c.ID)}}
	found, err := b.Courses.Translations(t.Context(), of, nil)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, courses.Texts{Title: "Го", Description: "<p>Учите </p>", Requirements: "Ничего"}, found[0].Texts)
	require.Equal(t, "ru", found[0].Language)
	require.Equal(t, courses.SourcesOf(courses.Texts{Title: c.Title, Description: c.Description, Requirements: c.Requirements}, found[0].Texts), found[0].Sources)

	report, refused, _ = importAll(t, b, files)
	require.Empty(t, refused)
	require.Equal(t, transfer.Counts{Unchanged: 17}, report.Total())
	// Another source makes it stale, and the same translation again does not make it fresh.
	files["courses.csv"] = strings.Replace(files["courses.csv"], "Learn", "Learn more", 1)
	files["translations.csv"] = strings.Replace(files["translations.csv"], "Два", "Второй", 1)
	report, refused, _ = importAll(t, b, files)
	require.Empty(t, refused)
	require.Equal(t, transfer.Counts{Updated: 2, Unchanged: 15}, report.Total())
	again, err := b.Courses.Translations(t.Context(), of, nil)
	require.NoError(t, err)
	require.Equal(t, found[0].Sources, again[0].Sources)
}

func TestBadTranslationsAreRefused(t *testing.T) {
	t.Parallel()
	files := good()
	files["translations.csv"] = strings.Replace(translationsHeader, "\n", ",sources\n", 1) + strings.Join([]string{
		"shelf,go,ru,x,,,", "course,go/1,ru,x,,,", "module,go,ru,x,,,", "lesson,go/1,ru,x,,,", "module,go/0,ru,x,,,", "lesson,go/1/01,ru,x,,,",
		"course,none,ru,x,,,", "module,go/9,ru,x,,,", "lesson,go/1/9,ru,x,,,", "category,none,ru,x,,,", "tag,none,ru,x,,,",
		"course,go,en,x,,,", "course,go,ru_RU,x,,,", "course,go,ru,,,,", "tag,go,ru,x,y,,", "lesson,go/1/1,ru,x,y,z,", "course,go,ru,x,,,1234",
		"course,go,ru,ok,,,", "course,go,RU,twice,,,",
	}, "\n") + "\n"
	_, refused, _ := importAll(t, open(t), files)
	require.Equal(t, []string{
		`translations.csv:2:object: "shelf" is none of [course module lesson category tag]`,
		`translations.csv:3:key: "go/1" is no key of a course: a slug, of a module with its position behind it (go/1), of a lesson with both (go/1/2)`,
		`translations.csv:4:key: "go" is no key of a module: a slug, of a module with its position behind it (go/1), of a lesson with both (go/1/2)`,
		`translations.csv:5:key: "go/1" is no key of a lesson: a slug, of a module with its position behind it (go/1), of a lesson with both (go/1/2)`,
		`translations.csv:6:key: "0" is no position`,
		`translations.csv:7:key: "01" is no position`,
		`translations.csv:8:key: there is no course "none"`,
		`translations.csv:9:key: there is no module "go/9"`,
		`translations.csv:10:key: there is no lesson "go/1/9"`,
		`translations.csv:11:key: there is no category "none"`,
		`translations.csv:12:key: there is no tag "none"`,
		`translations.csv:13:language: this is the language in which the course is written`,
		`translations.csv:14:language: "ru_RU" is no language tag of BCP 47, such as ru or pt-BR`,
		`translations.csv:15:title: the cell is empty`,
		`translations.csv:16:description: categories and tags have a title alone`,
		`translations.csv:17:requirements: only courses have requirements`,
		`translations.csv:18:sources: "1234" is not what an export writes here`,
		`translations.csv:20:language: an earlier row of this file has the same`,
	}, refused)
}

func TestAnExportKeepsWhatIsStale(t *testing.T) {
	t.Parallel()
	from, to := open(t), open(t)
	files := good()
	files["translations.csv"] = translationsHeader + "course,go,ru,Го,Учите,\n"
	importAll(t, from, files)
	files["courses.csv"] = strings.Replace(files["courses.csv"], "Learn", "Learn more", 1)
	importAll(t, from, files)
	_, err := transfer.Import(t.Context(), to, os.DirFS(exported(t, from)), nil)
	require.NoError(t, err)
	c, err := to.Courses.CourseBySlug(t.Context(), "go")
	require.NoError(t, err)
	found, err := to.Courses.Translations(t.Context(), []courses.Object{{Kind: courses.CourseObject, ID: int64(c.ID)}}, nil)
	require.NoError(t, err)
	fresh := courses.SourcesOf(courses.Texts{Title: c.Title, Description: c.Description}, found[0].Texts)
	require.Equal(t, fresh.Title, found[0].Sources.Title)
	require.NotEqual(t, fresh.Description, found[0].Sources.Description)
}
