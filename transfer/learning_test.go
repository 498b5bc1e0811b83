package transfer_test

import (
	"context"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/transfer"
	"github.com/ustat/ustat/ustattest"
)

const (
	enrollmentsHeader = "course,user,price_paid,currency,enrolled_at,status,source,started_at,completed_at\n"
	progressHeader    = "course,user,module_position,position,completed_at\n"
)

// engines opens an empty backend of each kind.
var engines = map[string]func(testing.TB) *storage.Backend{"sqlite": open, "postgres": openPostgres}

func onEngines(t *testing.T, test func(t *testing.T, open func(testing.TB) *storage.Backend)) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

// enrollmentOf returns what is stored of a user in a course.
func enrollmentOf(t testing.TB, b *storage.Backend, course, user string) courses.Enrollment {
	t.Helper()
	c, err := b.Courses.CourseBySlug(t.Context(), course)
	require.NoError(t, err)
	u, err := b.Accounts.UserByUsername(t.Context(), user)
	require.NoError(t, err)
	l, err := b.Courses.LearnerOf(t.Context(), c.ID, u.ID)
	require.NoError(t, err)
	return l.Enrollment
}

func students(t testing.TB, b *storage.Backend, course string) [2]int64 {
	t.Helper()
	c, err := b.Courses.CourseBySlug(t.Context(), course)
	require.NoError(t, err)
	return [2]int64{c.Stats.Students, c.Stats.Completions}
}

func at(text string) time.Time {
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return when
}

func TestEnrollmentsComeInWithTheirDefaultsAndAreUpdatedWhereACellDiffers(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open func(testing.TB) *storage.Backend) {
		b := open(t)
		importAll(t, b, good())
		short := "course,user,price_paid,currency,enrolled_at\ngo,bob,10.50,USD,2024-05-01T00:00:00Z\nsql,BOB,,,2024-05-02T00:00:00.5+02:00\n"
		report, refused, _ := importAll(t, b, map[string]string{"enrollments.csv": short})
		require.Empty(t, refused)
		require.Equal(t, transfer.Counts{Inserted: 2}, report.Total())
		e := enrollmentOf(t, b, "go", "bob")
		require.Equal(t, courses.Enrollment{
			ID: e.ID, Course: e.Course, Slug: "go", Title: "Go", User: e.User, Status: courses.Active, Source: courses.SourceImport,
			PricePaid: core.Money{Minor: 1050, Currency: "USD"}, Lessons: 2, EnrolledAt: at("2024-05-01T00:00:00Z"), Version: 1,
		}, e)
		e = enrollmentOf(t, b, "sql", "bob")
		require.Equal(t, []any{core.Money{Currency: "RUB"}, "2024-05-01T22:00:00.5Z"}, []any{e.PricePaid, e.EnrolledAt.Format(time.RFC3339Nano)})
		report, _, _ = importAll(t, b, map[string]string{"enrollments.csv": short})
		require.Equal(t, transfer.Counts{Unchanged: 2}, report.Total())

		for _, step := range []struct {
			row   string
			want  transfer.Counts
			check func(e courses.Enrollment)
		}{
			{"go,bob,10.50,USD,,,,,2024-06-01T00:00:00Z", transfer.Counts{Updated: 1}, func(e courses.Enrollment) {
				require.Equal(t, courses.Completed, e.Status, "completed_at is there")
				require.Equal(t, [2]int64{1, 1}, students(t, b, "go"))
			}},
			{"go,bob,,,,,,,", transfer.Counts{Unchanged: 1}, nil},
			{"go,bob,9,EUR,2024-05-03T00:00:00Z,,purchase,2024-05-04T00:00:00Z,", transfer.Counts{Updated: 1}, func(e courses.Enrollment) {
				require.Equal(t, []any{core.Money{Minor: 900, Currency: "EUR"}, courses.SourcePurchase, courses.Completed}, []any{e.PricePaid, e.Source, e.Status})
				require.Equal(t, []time.Time{at("2024-05-03T00:00:00Z"), at("2024-05-04T00:00:00Z"), at("2024-06-01T00:00:00Z")}, []time.Time{e.EnrolledAt, e.StartedAt, e.CompletedAt})
			}},
			{"go,bob,,,,refunded,,,", transfer.Counts{Updated: 1}, func(e courses.Enrollment) {
				require.False(t, e.EndedAt.IsZero())
				require.Equal(t, [2]int64{}, students(t, b, "go"))
			}},
			{"go,bob,,,,,,,", transfer.Counts{Unchanged: 1}, nil},
			{"go,bob,,,,completed,,,", transfer.Counts{Updated: 1}, func(e courses.Enrollment) {
				require.True(t, e.EndedAt.IsZero())
				require.Equal(t, [2]int64{1, 1}, students(t, b, "go"))
			}},
		} {
			report, refused, _ := importAll(t, b, map[string]string{"enrollments.csv": enrollmentsHeader + step.row + "\n"})
			require.Empty(t, refused, step.row)
			require.Equal(t, step.want, report.Total(), step.row)
			if step.check != nil {
				step.check(enrollmentOf(t, b, "go", "bob"))
			}
		}
		require.NoError(t, ustattest.CheckInvariants(t.Context(), b))
	})
}

func TestBadRowsOfLearningAreRefusedAndStopNothing(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open func(testing.TB) *storage.Backend) {
		b := open(t)
		files := good()
		files["enrollments.csv"] = enrollmentsHeader +
			"nothing,bob,1,USD,2024-05-01T00:00:00Z,,,,\n" +
			"go,nobody,1,USD,2024-05-01T00:00:00Z,,,,\n" +
			"go,bob,1,XXQ,2024-05-01T00:00:00Z,,,,\n" +
			"go,bob,-1,USD,2024-05-01T00:00:00Z,,,,\n" +
			"go,bob,1,USD,yesterday,,,,\n" +
			"go,bob,1,USD,2024-05-01T00:00:00Z,here,,,\n" +
			"go,bob,1,USD,2024-05-01T00:00:00Z,,gift,,\n" +
			"sql,bob,1,USD,2024-05-01T00:00:00Z,completed,,,\n" +
			"sql,ann,1,USD,2024-05-01T00:00:00Z,active,,,2024-05-01T00:00:00Z\n" +
			"go,ann,1,USD,2024-05-01T00:00:00Z,,,,\n" +
			"go,ANN,2,USD,2024-05-01T00:00:00Z,,,,\n"
		files["progress.csv"] = progressHeader +
			"nothing,ann,1,1,2024-05-01T00:00:00Z\n" +
			"go,nobody,1,1,2024-05-01T00:00:00Z\n" +
			"go,bob,1,1,2024-05-01T00:00:00Z\n" +
			"go,ann,1,3,2024-05-01T00:00:00Z\n" +
			"go,ann,0,1,2024-05-01T00:00:00Z\n" +
			"go,ann,1,1,2024-05-01T00:00:00Z\n" +
			"go,Ann,1,1,2024-05-02T00:00:00Z\n" +
			"go,ann,1,2,\n"
		report, refused, _ := importAll(t, b, files)
		require.Equal(t, []string{
			`enrollments.csv:2:course: there is no course "nothing"`,
			`enrollments.csv:3:user: there is no user "nobody"`,
			`enrollments.csv:4:currency: "XXQ" is no currency of ISO 4217`,
			`enrollments.csv:5:price_paid: "-1" is negative`,
			`enrollments.csv:6:enrolled_at: "yesterday" is no time of RFC 3339, such as 2024-02-29T08:15:00Z`,
			`enrollments.csv:7:status: "here" is none of [waiting active completed cancelled refunded]`,
			`enrollments.csv:8:source: "gift" is none of [free purchase grant import]`,
			`enrollments.csv:9:completed_at: a completed enrollment has a time of completion`,
			`enrollments.csv:10:status: an active enrollment has no time of completion: this one is completed`,
			`enrollments.csv:12:user: an earlier row of this file has the same`,
			`progress.csv:2:course: there is no course "nothing"`,
			`progress.csv:3:user: there is no user "nobody"`,
			`progress.csv:4:user: the user "bob" is not enrolled in the course "go"`,
			`progress.csv:5:position: the course "go" has no lesson 3 in a module 1`,
			`progress.csv:6:module_position: "0" is less than 1`,
			`progress.csv:8:position: an earlier row of this file has the same`,
		}, refused)
		require.Equal(t, transfer.Counts{Inserted: 12 + 1 + 2, Refused: 16}, report.Total())
		require.Equal(t, 2, enrollmentOf(t, b, "go", "ann").Done)
		require.NoError(t, ustattest.CheckInvariants(t.Context(), b))
		report, refused, _ = importAll(t, b, map[string]string{"progress.csv": progressHeader + "go,ann,1,1,2024-05-03T00:00:00Z\ngo,ann,1,2,\n"})
		require.Empty(t, refused)
		require.Equal(t, transfer.Counts{Updated: 1, Unchanged: 1}, report.Total())
	})
}

func TestSeatsAreNeverMoreThanThereAreAndAFreeOneIsGivenToWhoWaits(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open func(testing.TB) *storage.Backend) {
		b := open(t)
		files := good()
		files["users.csv"] += "cyd,cyd@example.org,student,,,\ndee,dee@example.org,student,,,\neve,eve@example.org,student,,,\n"
		files["courses.csv"] = strings.Replace(coursesHeader, "\n", ",capacity\n", 1) + "go,Go,Learn,en,web,ann,10.50,USD,published,,2024-01-02T03:04:05Z,2\n"
		files["modules.csv"], files["lessons.csv"] = modulesHeader+"go,1,One\n", lessonsHeader+"go,1,1,First,text,Hello,60\n"
		files["enrollments.csv"] = enrollmentsHeader +
			"go,bob,,,2024-05-01T00:00:00Z,active,,,\n" +
			"go,cyd,,,2024-05-02T00:00:00Z,waiting,,,\n" +
			"go,dee,,,2024-05-01T12:00:00Z,waiting,,,\n"
		_, refused, _ := importAll(t, b, files)
		require.Empty(t, refused)
		status := func(user string) courses.EnrollmentStatus { return enrollmentOf(t, b, "go", user).Status }
		require.Equal(t, []courses.EnrollmentStatus{courses.Active, courses.Waiting, courses.Active}, []courses.EnrollmentStatus{status("bob"), status("cyd"), status("dee")}, "dee waited longest")
		require.NoError(t, ustattest.CheckInvariants(t.Context(), b))

		_, refused, _ = importAll(t, b, map[string]string{"enrollments.csv": enrollmentsHeader + "go,eve,,,2024-05-03T00:00:00Z,active,,,\ngo,cyd,,,,active,,,\n"})
		require.Equal(t, []string{
			"enrollments.csv:2:status: the course has no free seat: there are 2",
			"enrollments.csv:3:status: the course has no free seat: there are 2",
		}, refused)
		// A seat that an earlier row leaves may be taken by a later one, or by who waits.
		_, refused, _ = importAll(t, b, map[string]string{"enrollments.csv": enrollmentsHeader + "go,bob,,,,cancelled,,,\ngo,eve,,,2024-05-03T00:00:00Z,active,,,\n"})
		require.Empty(t, refused)
		require.Equal(t, courses.Waiting, status("cyd"))
		_, refused, _ = importAll(t, b, map[string]string{"enrollments.csv": enrollmentsHeader + "go,eve,,,,refunded,,,\n"})
		require.Empty(t, refused)
		require.Equal(t, courses.Active, status("cyd"))
		require.NoError(t, ustattest.CheckInvariants(t.Context(), b))
	})
}

// TestACourseThatIsOpenedByAnImportLetsInWhoWaits lowers prices to nothing, and publishes
// a course again.
func TestACourseThatIsOpenedByAnImportLetsInWhoWaits(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open func(testing.TB) *storage.Backend) {
		b := open(t)
		files := good()
		files["users.csv"] += "cyd,cyd@example.org,student,,,\ndee,dee@example.org,student,,,\n"
		row := func(price, status string) string {
			return strings.Replace(coursesHeader, "\n", ",capacity\n", 1) + "go,Go,Learn,en,web,ann," + price + ",USD," + status + ",,2024-01-02T03:04:05Z,2\n"
		}
		files["courses.csv"] = row("10.50", "published")
		files["modules.csv"], files["lessons.csv"] = modulesHeader+"go,1,One\n", lessonsHeader+"go,1,1,First,text,Hello,60\n"
		files["enrollments.csv"] = enrollmentsHeader +
			"go,cyd,,,2024-05-02T00:00:00Z,waiting,free,,\n" +
			"go,dee,,,2024-05-01T12:00:00Z,waiting,free,,\n" +
			"go,bob,,,2024-05-03T00:00:00Z,waiting,free,,\n"
		_, refused, _ := importAll(t, b, files)
		require.Empty(t, refused)
		status := func(users ...string) (list []courses.EnrollmentStatus) {
			for _, user := range users {
				list = append(list, enrollmentOf(t, b, "go", user).Status)
			}
			return list
		}
		require.Equal(t, []courses.EnrollmentStatus{courses.Waiting, courses.Waiting, courses.Waiting}, status("dee", "cyd", "bob"), "they came while it cost nothing")
		importAll(t, b, map[string]string{"courses.csv": row("5.00", "published")})
		require.Equal(t, []courses.EnrollmentStatus{courses.Waiting, courses.Waiting, courses.Waiting}, status("dee", "cyd", "bob"))
		importAll(t, b, map[string]string{"courses.csv": row("0", "archived")})
		require.Equal(t, []courses.EnrollmentStatus{courses.Waiting, courses.Waiting, courses.Waiting}, status("dee", "cyd", "bob"))
		importAll(t, b, map[string]string{"courses.csv": row("5.00", "published")})
		importAll(t, b, map[string]string{"courses.csv": row("0", "published")})
		require.Equal(t, []courses.EnrollmentStatus{courses.Active, courses.Active, courses.Waiting}, status("dee", "cyd", "bob"), "who waited longest is let in, to the capacity")
		require.Equal(t, int64(2), students(t, b, "go")[0])
		require.NoError(t, ustattest.CheckInvariants(t.Context(), b))

		importAll(t, b, map[string]string{"courses.csv": row("0", "archived"), "enrollments.csv": enrollmentsHeader + "go,dee,,,,cancelled,,,\n"})
		require.Equal(t, []courses.EnrollmentStatus{courses.Waiting}, status("bob"))
		importAll(t, b, map[string]string{"courses.csv": row("0", "published")})
		require.Equal(t, []courses.EnrollmentStatus{courses.Active}, status("bob"))
		require.NoError(t, ustattest.CheckInvariants(t.Context(), b))
	})
}

func TestAnEnrollmentThatMeetsAnotherWriterIsPlannedAgain(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, open func(testing.TB) *storage.Backend) {
		b := open(t)
		files := good()
		files["enrollments.csv"] = enrollmentsHeader + "go,bob,,,2024-05-01T00:00:00Z,,,,\n"
		importAll(t, b, files)
		e := enrollmentOf(t, b, "go", "bob")
		copied := *b
		copied.Courses = &raced{Store: b.Courses, before: func() {
			e.Status, e.CompletedAt = courses.Completed, at("2024-07-01T00:00:00Z")
			require.NoError(t, b.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) error {
				return tx.UpdateEnrollments(ctx, []courses.Enrollment{e})
			}))
		}}
		report, refused, _ := importAll(t, &copied, map[string]string{"enrollments.csv": enrollmentsHeader + "go,bob,,,,,grant,,\n"})
		require.Empty(t, refused)
		require.Equal(t, transfer.Counts{Updated: 1}, report.Total())
		now := enrollmentOf(t, b, "go", "bob")
		require.Equal(t, []any{courses.Completed, courses.SourceGrant, e.CompletedAt}, []any{now.Status, now.Source, now.CompletedAt})
		require.NoError(t, ustattest.CheckInvariants(t.Context(), b))
	})
}

// coco returns the folder of the real enrollments, which is never committed.
func coco(t testing.TB) string {
	t.Helper()
	root := os.Getenv("USTAT_TEST_DATA")
	if root == "" {
		t.Skip("set USTAT_TEST_DATA to the folder that holds import/coco to run this")
	}
	return filepath.Join(root, "import", "coco")
}

// countCSV counts the rows of a CSV file by the cells of a column.
func countCSV(t testing.TB, path, column string) map[string]int64 {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	r := csv.NewReader(f)
	header, err := r.Read()
	require.NoError(t, err)
	place := -1
	for i, name := range header {
		if name == column {
			place = i
		}
	}
	require.GreaterOrEqual(t, place, 0)
	counts := map[string]int64{}
	for {
		record, err := r.Read()
		if err == io.EOF { //nolint:errorlint // encoding/csv returns it bare
			return counts
		}
		require.NoError(t, err)
		counts[record[place]]++
	}
}

// requireStudents compares the students of every course with counts.
func requireStudents(t testing.TB, b *storage.Backend, want map[string]int64) {
	t.Helper()
	all, total := 0, int64(0)
	for after := ""; ; {
		page, err := b.Courses.CoursesAfter(t.Context(), after, 1000)
		require.NoError(t, err)
		for _, c := range page {
			require.Equal(t, want[c.Slug], c.Stats.Students, c.Slug)
			all, after, total = all+1, c.Slug, total+c.Stats.Students
		}
		if len(page) < 1000 {
			break
		}
	}
	t.Logf("%d courses have the %d students that the file gives them", all, total)
}

func TestTheRealEnrollmentsAreCountedAsTheFileHasThem(t *testing.T) {
	if os.Getenv("USTAT_TEST_SCALE") == "" {
		t.Skip("set USTAT_TEST_SCALE to import 127,590 enrollments")
	}
	t.Parallel()
	onEngines(t, func(t *testing.T, open func(testing.TB) *storage.Backend) {
		dir, b := coco(t), open(t)
		began := time.Now()
		report, err := transfer.Import(t.Context(), b, os.DirFS(dir), &transfer.Options{Refused: func(r transfer.Refusal) { t.Error(r) }})
		require.NoError(t, err)
		t.Logf("%d rows of all files in %s", report.Total().Rows(), time.Since(began).Round(time.Millisecond))
		require.Equal(t, transfer.FileReport{File: "enrollments.csv", Counts: transfer.Counts{Inserted: 127_590}}, report.Files[len(report.Files)-1])
		requireStudents(t, b, countCSV(t, filepath.Join(dir, "enrollments.csv"), "course"))
		require.NoError(t, ustattest.CheckInvariants(t.Context(), b))
		outAndIn(t, b, open(t))
		report, err = transfer.Import(t.Context(), b, os.DirFS(dir), nil)
		require.NoError(t, err)
		require.Equal(t, 127_590, report.Files[len(report.Files)-1].Unchanged)
	})
}

// BenchmarkEnrollments imports the real enrollments into a catalogue that is there.
func BenchmarkEnrollments(b *testing.B) {
	dir := coco(b)
	rows := 0
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		backend := open(b)
		_, err := transfer.Import(b.Context(), backend, without{os.DirFS(dir), "enrollments.csv"}, nil)
		require.NoError(b, err)
		b.StartTimer()
		start := time.Now()
		report, err := transfer.Import(b.Context(), backend, only{os.DirFS(dir), "enrollments.csv"}, nil)
		require.NoError(b, err)
		require.Equal(b, 127_590, report.Total().Inserted)
		spent += time.Since(start)
		rows += report.Total().Rows()
	}
	b.ReportMetric(float64(rows)/spent.Seconds(), "rows/s")
}
