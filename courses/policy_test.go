package courses_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// owner, who may what: want[0] is on an invisible course where the actor does not see
// it, else on what they see.
func TestWhoMayWrite(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		stranger := w.person(t, "pia", core.Producer) // runs nobody's courses
		actors := map[string]core.Actor{
			"anonymous": w.nobody, "student": w.sam, "teacher": w.bob, "owner": w.ann, "producer": w.pam, "other producer": stranger, "admin": w.admin,
			"owner who is a student now": {UserID: w.ann.UserID, Role: core.Student},
		}
		operations := map[string]func(by core.Actor, slug string, m courses.ModuleID, l courses.LessonID) error{
			"edit": func(by core.Actor, slug string, _ courses.ModuleID, _ courses.LessonID) error {
				_, err := w.Edit(t.Context(), by, slug, courses.CourseEdit{IfVersion: 99})
				return err
			},
			"replace": func(by core.Actor, slug string, _ courses.ModuleID, _ courses.LessonID) error {
				_, err := w.Replace(t.Context(), by, slug, courses.CourseReplacement{Title: "x", IfVersion: 99})
				return err
			},
			"submit": func(by core.Actor, slug string, _ courses.ModuleID, _ courses.LessonID) error {
				_, err := w.Submit(t.Context(), by, slug, 99)
				return err
			},
			"archive": func(by core.Actor, slug string, _ courses.ModuleID, _ courses.LessonID) error {
				_, err := w.Archive(t.Context(), by, slug, 99)
				return err
			},
			"restore": func(by core.Actor, slug string, _ courses.ModuleID, _ courses.LessonID) error {
				_, err := w.Restore(t.Context(), by, slug, 99)
				return err
			},
			"delete": func(by core.Actor, slug string, _ courses.ModuleID, _ courses.LessonID) error {
				return w.Delete(t.Context(), by, slug, 99)
			},
			"create module": func(by core.Actor, slug string, _ courses.ModuleID, _ courses.LessonID) error {
				_, err := w.CreateModule(t.Context(), by, slug, courses.NewModule{Title: "x", Position: 99})
				return err
			},
			"edit module": func(by core.Actor, slug string, m courses.ModuleID, _ courses.LessonID) error {
				_, err := w.EditModule(t.Context(), by, slug, m, courses.ModuleEdit{IfVersion: 99})
				return err
			},
			"delete module": func(by core.Actor, slug string, m courses.ModuleID, _ courses.LessonID) error {
				return w.DeleteModule(t.Context(), by, slug, m, 99)
			},
			"order modules": func(by core.Actor, slug string, m courses.ModuleID, _ courses.LessonID) error {
				return w.ReorderModules(t.Context(), by, slug, []courses.ModuleID{m, m})
			},
			"create lesson": func(by core.Actor, slug string, m courses.ModuleID, _ courses.LessonID) error {
				_, err := w.CreateLesson(t.Context(), by, slug, m, courses.NewLesson{Title: "x", Kind: courses.Text, Position: 99})
				return err
			},
			"edit lesson": func(by core.Actor, slug string, _ courses.ModuleID, l courses.LessonID) error {
				_, err := w.EditLesson(t.Context(), by, slug, l, courses.LessonEdit{IfVersion: 99})
				return err
			},
			"delete lesson": func(by core.Actor, slug string, _ courses.ModuleID, l courses.LessonID) error {
				return w.DeleteLesson(t.Context(), by, slug, l, 99)
			},
			"order lessons": func(by core.Actor, slug string, m courses.ModuleID, l courses.LessonID) error {
				return w.ReorderLessons(t.Context(), by, slug, m, []courses.LessonID{l, l})
			},
			"publish": func(by core.Actor, slug string, _ courses.ModuleID, _ courses.LessonID) error {
				_, err := w.Publish(t.Context(), by, slug, 99)
				return err
			},
			"reject": func(by core.Actor, slug string, _ courses.ModuleID, _ courses.LessonID) error {
				_, err := w.Reject(t.Context(), by, slug, "why", 99)
				return err
			},
			"reassign": func(by core.Actor, slug string, _ courses.ModuleID, _ courses.LessonID) error {
				_, err := w.Reassign(t.Context(), by, slug, "sam")
				return err
			},
		}
		adminOnly := []string{"publish", "reject", "reassign"}
		for _, status := range courses.Statuses {
			c := w.in(t, w.course(t, "In "+string(status)), status)
			modules, err := w.backend.Courses.ModuleIDs(t.Context(), c.ID)
			require.NoError(t, err)
			lessons, err := w.backend.Courses.LessonIDs(t.Context(), c.ID, modules[0])
			require.NoError(t, err)
			for name, by := range actors {
				edits := slices.Contains([]string{"owner", "producer", "admin"}, name)
				_, err := w.Course(t.Context(), by, c.Slug)
				if edits || status == courses.Published {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, courses.ErrCourseNotFound)
				}
				for op, do := range operations {
					err := do(by, c.Slug, modules[0], lessons[0])
					why := fmt.Sprintf("%s by %s in %s", op, name, status)
					switch {
					case status != courses.Published && !edits:
						require.ErrorIs(t, err, courses.ErrCourseNotFound, why)
					case name == "anonymous":
						require.ErrorIs(t, err, core.ErrUnauthenticated, why)
					case !edits || slices.Contains(adminOnly, op) && name != "admin":
						require.ErrorIs(t, err, core.ErrForbidden, why)
					default: // it may, and is refused for what it asks
						require.Error(t, err, why)
						require.Contains(t, []core.Kind{core.KindInvalid, core.KindFailedPrecondition}, core.KindOf(err), "%s: %v", why, err)
					}
				}
			}
			again, err := w.Course(t.Context(), w.ann, c.Slug)
			require.NoError(t, err)
			require.Equal(t, c, again)
		}
	})
}

func TestCategoriesAndTagsAreForAdmins(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.shelf(t)
		operations := []func(by core.Actor) error{
			func(by core.Actor) error {
				_, err := w.CreateCategory(t.Context(), by, courses.NewCategory{Name: "x"})
				return err
			},
			func(by core.Actor) error {
				_, err := w.EditCategory(t.Context(), by, "web", courses.CategoryEdit{})
				return err
			},
			func(by core.Actor) error { return w.DeleteCategory(t.Context(), by, "web", "") },
			func(by core.Actor) error {
				_, err := w.CreateTag(t.Context(), by, courses.NewTag{Name: "x"})
				return err
			},
			func(by core.Actor) error {
				_, err := w.EditTag(t.Context(), by, "go", courses.TagEdit{})
				return err
			},
			func(by core.Actor) error { return w.DeleteTag(t.Context(), by, "go") },
		}
		for i, do := range operations {
			require.ErrorIs(t, do(w.nobody), core.ErrUnauthenticated, i)
			for _, by := range []core.Actor{w.sam, w.ann, w.pam} {
				require.ErrorIs(t, do(by), core.ErrForbidden, i)
			}
			require.NoError(t, do(w.admin), i)
		}
	})
}

// What others change leaves a row in the audit log; what a teacher does to their own
// course does not.
func TestWhatIsAudited(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		db, err := sql.Open(w.driver, w.dsn)
		require.NoError(t, err)
		defer db.Close()
		audited := func() (n int) {
			require.NoError(t, db.QueryRow("SELECT count(*) FROM ustat_audit").Scan(&n))
			return n
		}
		w.shelf(t)
		require.Equal(t, 3, audited(), "a category and two tags")
		c := w.course(t, "Go")
		_, err = w.Edit(t.Context(), w.ann, c.Slug, courses.CourseEdit{Title: ptr("Go!")})
		require.NoError(t, err)
		require.Equal(t, 3, audited())
		_, err = w.Edit(t.Context(), w.pam, c.Slug, courses.CourseEdit{Title: ptr("Go?")})
		require.NoError(t, err)
		require.Equal(t, 4, audited())
		_, err = w.CreateModule(t.Context(), w.admin, c.Slug, courses.NewModule{Title: "x"})
		require.NoError(t, err)
		require.Equal(t, 5, audited())
		w.in(t, c, courses.Published)
		require.Equal(t, 6, audited(), "the publication")
		_, err = w.Reassign(t.Context(), w.admin, c.Slug, "bob")
		require.NoError(t, err)
		require.Equal(t, 7, audited())
		other := w.course(t, "Other")
		require.NoError(t, w.Delete(t.Context(), w.ann, other.Slug, 0))
		require.Equal(t, 8, audited(), "a deletion, by the teacher too")
	})
}

// In random worlds every principal finds the same courses whichever way they ask.
func TestEveryReadPathShowsTheSameCourses(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		r := random(t)
		w.shelf(t)
		db, err := sql.Open(w.driver, w.dsn)
		require.NoError(t, err)
		defer db.Close()
		teachers, principals := randomPeople(t, w, r)
		all := randomCourses(t, w, r, db, teachers)
		randomSeats(t, w, r, all, principals)
		for name, by := range principals {
			byGet := map[string]bool{}
			rated := map[string]bool{}
			for slug, stats := range all {
				_, err := w.Course(t.Context(), by, slug)
				if err == nil {
					byGet[slug] = true
				} else {
					require.ErrorIs(t, err, courses.ErrCourseNotFound)
				}
				if byGet[slug] && stats.published && stats.rated {
					rated[slug] = true
				}
			}
			byList, byCount, bySearch := map[string]bool{}, 0, map[string]bool{}
			for _, status := range courses.Statuses {
				maps.Copy(byList, walk(t, w, by, courses.Filter{Status: status}, 1+r.IntN(9)))
				maps.Copy(bySearch, walk(t, w, by, courses.Filter{Status: status, Query: "common"}, 1+r.IntN(9)))
				n, err := w.Count(t.Context(), by, courses.Filter{Status: status})
				require.NoError(t, err)
				byCount += n
			}
			byLessons := map[string]bool{}
			for slug := range all {
				if _, err := w.Lessons(t.Context(), by, slug, 0, core.Page{}); err == nil {
					byLessons[slug] = true
				}
			}
			require.Equal(t, byGet, byLessons, "lessons and get of %s", name)
			require.Equal(t, byGet, byList, "list and get of %s", name)
			require.Equal(t, byGet, bySearch, "search and get of %s", name)
			require.Equal(t, len(byGet), byCount, "count of %s", name)
			top, err := w.Top(t.Context(), core.MaxLimit)
			require.NoError(t, err)
			byTop := map[string]bool{}
			for _, c := range top {
				byTop[c.Slug] = true
			}
			require.Equal(t, rated, byTop, "top, and the published and rated ones that %s gets", name)
		}
	})
}

func randomPeople(t *testing.T, w *world, r *rand.Rand) (teachers []core.Actor, principals map[string]core.Actor) {
	for i := range 5 {
		teachers = append(teachers, w.person(t, fmt.Sprint("teacher-", i), core.Teacher))
	}
	for i := range 4 {
		producer := w.person(t, fmt.Sprint("producer-", i), core.Producer)
		for _, teacher := range teachers {
			if r.IntN(3) == 0 {
				w.producers[producer.UserID] = append(w.producers[producer.UserID], teacher.UserID)
			}
		}
	}
	principals = maps.Clone(w.people)
	principals["nobody"] = w.nobody
	principals["a teacher who is a student now"] = core.Actor{UserID: teachers[0].UserID, Role: core.Student}
	return teachers, principals
}

type kind struct {
	id               courses.CourseID
	published, rated bool
}

// randomSeats enrolls people in courses of whatever status, with any status.
func randomSeats(t *testing.T, w *world, r *rand.Rand, all map[string]kind, people map[string]core.Actor) {
	var list []courses.Enrollment
	for _, k := range all {
		for _, by := range people {
			if by.IsAnonymous() || r.IntN(4) > 0 || slices.ContainsFunc(list, func(e courses.Enrollment) bool { return e.Course == k.id && e.User == by.UserID }) {
				continue
			}
			e := courses.Enrollment{Course: k.id, User: by.UserID, Status: courses.EnrollmentStatuses[r.IntN(5)], Source: courses.SourceFree, EnrolledAt: w.clock.Now()}
			list = append(list, e)
		}
	}
	require.NoError(t, w.backend.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) error {
		_, err := tx.InsertEnrollments(ctx, list)
		return err
	}))
}

func randomCourses(t *testing.T, w *world, r *rand.Rand, db *sql.DB, teachers []core.Actor) map[string]kind {
	all := map[string]kind{}
	var list []courses.Course
	for i := range 60 {
		c := courses.Course{
			Slug: fmt.Sprint("course-", i), Title: fmt.Sprint("Common ", i), Price: core.Money{Currency: "RUB"}, Status: courses.Statuses[r.IntN(4)],
			Teacher: courses.Teacher{ID: teachers[r.IntN(len(teachers))].UserID}, CreatedAt: w.clock.Now(), UpdatedAt: w.clock.Now(),
		}
		list = append(list, c)
	}
	require.NoError(t, w.backend.Courses.Update(t.Context(), func(ctx context.Context, tx courses.Tx) (err error) {
		list, err = tx.InsertCourses(ctx, list)
		return err
	}))
	for _, c := range list {
		k := kind{id: c.ID, published: c.Status == courses.Published, rated: r.IntN(2) == 0}
		if k.rated {
			stats := courses.Stats{ReviewCount: 2, RatingSum: int64(2 + r.IntN(9))}
			_, err := db.Exec("UPDATE ustat_course_stats SET review_count = $1, rating_sum = $2, rating_rank = $3 WHERE course_id = $4",
				stats.ReviewCount, stats.RatingSum, stats.RatingRank(), int64(c.ID))
			require.NoError(t, err)
		}
		all[c.Slug] = k
	}
	return all
}

// walk returns the slugs of a list, page by page.
func walk(t *testing.T, w *world, by core.Actor, f courses.Filter, limit int) map[string]bool {
	found := map[string]bool{}
	for page := (core.Page{Limit: limit}); ; {
		got, err := w.List(t.Context(), by, f, "", page)
		require.NoError(t, err)
		for _, c := range got.Items {
			require.False(t, found[c.Slug], "%s comes twice", c.Slug)
			found[c.Slug] = true
		}
		if page.Cursor = got.Next; got.Next == "" {
			return found
		}
	}
}
