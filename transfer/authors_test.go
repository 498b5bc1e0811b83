package transfer_test

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/transfer"
	"github.com/ustat/ustat/ustattest"
)

func TestWhatAnAuthorChangesBesideAnImportIsKept(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *storage.Backend{"sqlite": open, "postgres": openPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := open(t)
			importAll(t, backend, good())
			ctx := t.Context()
			course, err := backend.Courses.CourseBySlug(ctx, "go")
			require.NoError(t, err)
			// race imports a file beside an author who writes between its plan and its write.
			race := func(file, text string, author func(ctx context.Context, tx courses.Tx) error) {
				copied := *backend
				copied.Courses = &raced{Store: backend.Courses, before: func() { require.NoError(t, backend.Courses.Update(ctx, author)) }}
				report, refused, _ := importAll(t, &copied, map[string]string{file: text})
				require.Empty(t, refused)
				require.Equal(t, transfer.Counts{Updated: 1}, report.Total())
			}

			race("courses.csv", coursesHeader+"go,Imported,Learn,en,web,ann,10.50,USD,published,Go;C++;C#,2024-01-02T03:04:05Z\n",
				func(ctx context.Context, tx courses.Tx) error {
					course.Requirements = "the author's"
					return tx.UpdateCourses(ctx, []courses.Course{course})
				})
			course, err = backend.Courses.CourseBySlug(ctx, "go")
			require.NoError(t, err)
			require.Equal(t, []string{"Imported", "the author's"}, []string{course.Title, course.Requirements})

			modules, err := backend.Courses.Modules(ctx, course.ID, 0, 1)
			require.NoError(t, err)
			race("modules.csv", modulesHeader+"go,1,Imported\n", func(ctx context.Context, tx courses.Tx) error {
				modules[0].Description = "the author's"
				return tx.UpdateModules(ctx, modules)
			})
			modules, err = backend.Courses.Modules(ctx, course.ID, 0, 1)
			require.NoError(t, err)
			require.Equal(t, []string{"Imported", "the author's"}, []string{modules[0].Title, modules[0].Description})

			lessons, err := backend.Courses.Lessons(ctx, course.ID, modules[0].ID, [2]int{}, 1)
			require.NoError(t, err)
			race("lessons.csv", lessonsHeader+"go,1,1,Imported,text,Hello,60\n", func(ctx context.Context, tx courses.Tx) error {
				lessons[0].FreePreview = true
				return tx.UpdateLessons(ctx, lessons)
			})
			lessons, err = backend.Courses.Lessons(ctx, course.ID, modules[0].ID, [2]int{}, 1)
			require.NoError(t, err)
			require.Equal(t, "Imported", lessons[0].Title)
			require.True(t, lessons[0].FreePreview, "the author's")
		})
	}
}

func TestATeacherWhoIsDemotedBesideAnImportGetsNoCourse(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *storage.Backend{"sqlite": open, "postgres": openPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := open(t)
			files := good()
			importAll(t, backend, map[string]string{"categories.csv": files["categories.csv"], "users.csv": files["users.csv"]})
			copied := *backend
			copied.Courses = &raced{Store: backend.Courses, before: func() {
				require.NoError(t, backend.Accounts.Update(t.Context(), func(ctx context.Context, tx accounts.Tx) error {
					users, err := tx.UsersForUpdate(ctx, "ann")
					if err != nil {
						return err
					}
					users[0].Role = core.Student
					return tx.UpdateUsers(ctx, users[0])
				}))
			}}
			_, refused, _ := importAll(t, &copied, map[string]string{"courses.csv": files["courses.csv"]})
			require.Equal(t, []string{
				`courses.csv:2:teacher: the user "ann" is a student and may not teach`, `courses.csv:3:teacher: the user "ann" is a student and may not teach`,
			}, refused)
			require.NoError(t, ustattest.CheckInvariants(t.Context(), backend))
		})
	}
}

func TestALessonIsImportedWithoutReadingTheOthersOfItsModule(t *testing.T) { // not parallel: it counts what the process allocates
	backend := open(t)
	importAll(t, backend, good())
	course, err := backend.Courses.CourseBySlug(t.Context(), "go")
	require.NoError(t, err)
	modules, err := backend.Courses.Modules(t.Context(), course.ID, 0, 1)
	require.NoError(t, err)
	const n, size = 300, 200_000
	large := make([]courses.Lesson, n)
	for i := range large {
		large[i] = courses.Lesson{
			CourseID: course.ID, ModuleID: modules[0].ID, Position: 10 + i, Title: "Large", Kind: courses.Text, Content: strings.Repeat("x", size),
		}
	}
	require.NoError(t, backend.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) error {
		_, err := tx.InsertLessons(ctx, large)
		return err
	}))
	files := map[string]string{"lessons.csv": lessonsHeader + "go,1,1,New,text,Hello,60\n"}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	report, _, _ := importAll(t, backend, files)
	runtime.ReadMemStats(&after)
	require.Equal(t, 1, report.Total().Updated)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(n*size/2), "the other lessons of the module were read")
}
