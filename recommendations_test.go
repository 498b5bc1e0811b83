package ustat_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/recommend"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/ustattest"
)

// onBothEngines runs a case on SQLite and on PostgreSQL.
func onBothEngines(t *testing.T, test func(t *testing.T, open func(t *testing.T) *storage.Backend)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := t.TempDir() + "/school.db"
		test(t, func(t *testing.T) *storage.Backend {
			b, err := sqlite.Open(t.Context(), path, nil)
			require.NoError(t, err)
			return b
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dsn := pgtest.DSN(t)
		test(t, func(t *testing.T) *storage.Backend {
			b, err := postgres.Open(t.Context(), dsn, nil)
			require.NoError(t, err)
			return b
		})
	})
}

// school is a platform with learners and six published courses of one category.
type school struct {
	*ustattest.Platform
	*classroom
}

func newSchool(t *testing.T, b *storage.Backend, learners int, options recommend.Options) school {
	t.Helper()
	p := ustattest.New(t, ustattest.WithBackend(b), ustattest.WithConfig(ustat.Config{Recommend: options}))
	return school{p, newClassroom(t, b, learners)}
}

func (s school) learner(n int) core.Actor {
	return core.Actor{UserID: s.id("learner-" + strconv.Itoa(n)), Role: core.Student}
}

// follows enrolls learners in the first courses, and lets the models know.
func (s school) follows(t *testing.T, learners, courses int) {
	t.Helper()
	for n := range learners {
		for i := range courses {
			s.Clock.Advance(time.Minute)
			_, err := s.Courses.Enroll(t.Context(), s.learner(n), s.courses[i].Slug, "")
			require.NoError(t, err)
		}
	}
	require.NoError(t, s.Drain(t.Context()))
}

func (s school) recommended(t *testing.T, by core.Actor) []string {
	t.Helper()
	list, err := s.Recommend.Recommend(t.Context(), by, recommend.Query{})
	require.NoError(t, err)
	slugs := make([]string, len(list.Items))
	for i, item := range list.Items {
		require.Equal(t, courses.Published, item.Course.Status)
		slugs[i] = item.Course.Slug
	}
	return slugs
}

func (s school) weights(t *testing.T, by core.Actor) map[string]float64 {
	t.Helper()
	list, err := s.Recommend.Preferences(t.Context(), by)
	require.NoError(t, err)
	out := map[string]float64{}
	for _, p := range list {
		out[p.Category.Slug] = p.Weight
	}
	return out
}

func (s school) train(t *testing.T) {
	t.Helper()
	require.NoError(t, s.Recommend.Train(t.Context(), nil))
}

func view(slug, key string) recommend.NewInteraction {
	return recommend.NewInteraction{Course: slug, Kind: recommend.View, Key: key}
}

func TestPreferencesGrowOnceByEachInteraction(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, open func(t *testing.T) *storage.Backend) {
		s := newSchool(t, open(t), 2, recommend.Options{})
		ctx, by := t.Context(), s.learner(0)
		first, err := s.Recommend.Interact(ctx, by, view("course-0", "one"))
		require.NoError(t, err)
		require.True(t, first.Counted)
		require.InDelta(t, 1.1, s.weights(t, by)["all"], 1e-9)
		again, err := s.Recommend.Interact(ctx, by, view("course-0", "one"))
		require.NoError(t, err)
		require.Equal(t, recommend.Receipt{ID: first.ID}, again)
		_, err = s.Recommend.Interact(ctx, by, view("course-0", ""))
		require.NoError(t, err, "of a course a view a day counts")
		s.Clock.Advance(24 * time.Hour)
		_, err = s.Recommend.Interact(ctx, by, view("course-0", "one"))
		require.NoError(t, err, "the same id on another day counts once")
		_, err = s.Recommend.Interact(ctx, by, view("course-1", "one"))
		require.ErrorIs(t, err, core.ErrKeyReused)
		require.InDelta(t, 1+.1*math.Exp2(-1./90), s.weights(t, by)["all"], 1e-9)
		_, err = s.Recommend.Interact(ctx, by, recommend.NewInteraction{Course: "course-0", Kind: recommend.Bookmark})
		require.NoError(t, err)
		grown := .1*math.Exp2(-1./90) + .3
		require.InDelta(t, 1+grown, s.weights(t, by)["all"], 1e-9)
		s.Clock.Advance(recommend.HalfLife)
		require.InDelta(t, 1+grown/2, s.weights(t, by)["all"], 1e-9, "what it has grown by halves")
		require.Empty(t, s.weights(t, s.learner(1)))

		for _, kind := range []recommend.Kind{recommend.Start, recommend.Complete, 0, 9} {
			_, err = s.Recommend.Interact(ctx, by, recommend.NewInteraction{Course: "course-0", Kind: kind})
			require.ErrorIs(t, err, core.ErrInvalid)
		}
		_, err = s.Recommend.Interact(ctx, by, view("nowhere", ""))
		require.ErrorIs(t, err, courses.ErrCourseNotFound)
		_, err = s.Recommend.Interact(ctx, core.Actor{}, view("course-0", ""))
		require.ErrorIs(t, err, core.ErrUnauthenticated)
		require.NoError(t, s.Recommend.ResetPreferences(ctx, by))
		require.Empty(t, s.weights(t, by))
	})
}

func TestManyInteractionsAtOnceGrowAWeightExactly(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, open func(t *testing.T) *storage.Backend) {
		s := newSchool(t, open(t), 1, recommend.Options{})
		const calls = 64
		var made []courses.Course
		s.update(func(ctx context.Context, tx courses.Tx) (err error) {
			list := make([]courses.Course, calls/2)
			for i := range list {
				list[i] = s.courses[0]
				list[i].ID, list[i].Slug = 0, fmt.Sprintf("more-%d", i)
			}
			made, err = tx.InsertCourses(ctx, list)
			return err
		})
		errs := make([]error, calls)
		var counted [calls]bool
		var wg sync.WaitGroup
		for i := range calls {
			wg.Go(func() {
				r, err := s.Recommend.Interact(t.Context(), s.learner(0), view(made[i/2].Slug, "key-"+strconv.Itoa(i/2)))
				counted[i], errs[i] = r.Counted, err
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		for i := 0; i < calls; i += 2 {
			require.NotEqual(t, counted[i], counted[i+1], "of two with one id one counts")
		}
		require.InDelta(t, 1+.1*calls/2, s.weights(t, s.learner(0))["all"], 1e-9)
	})
}

func TestRecommendationsFollowWhatLearnersDo(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, open func(t *testing.T) *storage.Backend) {
		s := newSchool(t, open(t), 4, recommend.Options{})
		ctx, by := t.Context(), s.learner(3)
		require.Len(t, s.recommended(t, by), 6, "without a model popular ones")
		s.train(t)
		require.Len(t, s.recommended(t, by), 6, "and with one that has learned of nobody")
		s.follows(t, 3, 3)
		s.train(t)
		require.Len(t, s.recommended(t, core.Actor{}), 6)

		// The enrollment counts in the next request, before any event is delivered.
		_, err := s.Courses.Enroll(ctx, by, "course-0", "")
		require.NoError(t, err)
		require.NotContains(t, s.recommended(t, by), "course-0")
		list, err := s.Recommend.Recommend(ctx, by, recommend.Query{Limit: 1})
		require.NoError(t, err)
		require.Contains(t, []string{"course-1", "course-2"}, list.Items[0].Course.Slug, "what those took who took the same")
		require.Equal(t, "course-0", list.Items[0].Reason.Course.Slug)
		require.Equal(t, "hybrid", list.Variant)
		require.NoError(t, s.Drain(ctx))
		require.InDelta(t, 1.5, s.weights(t, by)["all"], 1e-4)

		require.NoError(t, s.Recommend.Dismiss(ctx, by, "course-1"))
		require.NoError(t, s.Recommend.Dismiss(ctx, by, "course-1"))
		require.NotContains(t, s.recommended(t, by), "course-1")
		require.NoError(t, s.Recommend.Undismiss(ctx, by, "course-1"))
		require.Contains(t, s.recommended(t, by), "course-1")

		// A course that is not published any more goes at once, whether or not the models know it.
		_, err = s.Courses.Archive(ctx, accounts.System, "course-2", 0)
		require.NoError(t, err)
		require.NotContains(t, s.recommended(t, by), "course-2")
		require.NoError(t, s.Drain(ctx))
		require.NotContains(t, s.recommended(t, by), "course-2")

		// Who teaches is not recommended what they teach.
		require.Empty(t, s.recommended(t, core.Actor{UserID: s.id("teacher"), Role: core.Teacher}))

		_, err = s.Courses.Cancel(ctx, by, "course-0", "")
		require.NoError(t, err)
		require.Contains(t, s.recommended(t, by), "course-0")
		require.NoError(t, s.Drain(ctx))
		require.InDelta(t, 1, s.weights(t, by)["all"], 1e-9)
		records, err := s.Backend.Recommend.History(ctx, by.UserID, 10)
		require.NoError(t, err)
		require.Empty(t, records)

		similar, err := s.Recommend.Similar(ctx, by, "course-0", 1)
		require.NoError(t, err)
		require.Equal(t, "course-1", similar.Items[0].Course.Slug)
	})
}

// A platform whose learner has gone away recommends as one that never saw them.
func TestALearnerLeavesNoTrace(t *testing.T) {
	t.Parallel()
	cancel := func(t *testing.T, s school, by core.Actor) {
		page, err := s.Courses.Enrollments(t.Context(), by, courses.EnrollmentFilter{}, core.Page{})
		require.NoError(t, err)
		require.Len(t, page.Items, 3)
		for _, e := range page.Items {
			_, err := s.Courses.Cancel(t.Context(), by, e.Slug, "")
			require.NoError(t, err)
		}
		require.NoError(t, s.Drain(t.Context()))
	}
	erase := func(t *testing.T, s school, by core.Actor) {
		require.NoError(t, s.Recommend.EraseUser(t.Context(), by, by.UserID))
	}
	for _, c := range []struct {
		name string
		// The first has nothing that is tuned: what the hybrid has tuned stays until the next training.
		strategy recommend.Strategy
		away     func(t *testing.T, s school, by core.Actor)
		again    bool // it is trained again
	}{
		{"cancelled", recommend.NewItemKNN(nil), cancel, false},
		{"erased", recommend.NewItemKNN(nil), erase, false},
		{"cancelled, and trained again", recommend.NewHybrid(nil), cancel, true},
		{"erased, and trained again", recommend.NewHybrid(nil), erase, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var seen [2][]recommend.Scored // scores, parts and reasons too
			for i := range seen {
				b, err := sqlite.InMemory(t.Context(), nil)
				require.NoError(t, err)
				model := &spy{Strategy: c.strategy}
				s := newSchool(t, b, 4, recommend.Options{Strategies: []recommend.Strategy{model}})
				s.follows(t, 3, 3)
				s.train(t)
				if i == 1 { // the one who will have been there
					for _, n := range []int{0, 4, 5} {
						_, err := s.Courses.Enroll(t.Context(), s.learner(3), s.courses[n].Slug, "")
						require.NoError(t, err)
					}
					require.NoError(t, s.Drain(t.Context()))
					s.train(t)
					require.NotEqual(t, courseIDs(seen[0]), courseIDs(model.recommended(t, s)), "the learner makes a difference")
					c.away(t, s, s.learner(3))
				}
				if c.again {
					s.train(t)
				}
				seen[i] = model.recommended(t, s)
			}
			require.Equal(t, seen[0], seen[1])
		})
	}
}

func courseIDs(list []recommend.Scored) (ids []courses.CourseID) {
	for _, s := range list {
		ids = append(ids, s.Course)
	}
	return ids
}

// spy keeps the last model that a strategy has trained or read.
type spy struct {
	recommend.Strategy
	last   recommend.Model
	loaded int
}

func (s *spy) Train(ctx context.Context, src recommend.Source, report func(recommend.Progress)) (recommend.Model, error) {
	m, err := s.Strategy.Train(ctx, src, report)
	s.last = m
	return m, err
}

// recommended returns what the last model has for somebody who took two courses.
func (s *spy) recommended(t *testing.T, at school) []recommend.Scored {
	t.Helper()
	list, err := s.last.Recommend(t.Context(), recommend.Request{K: 10, At: ustattest.Epoch.Add(24 * time.Hour), History: []recommend.Interaction{
		{Course: at.courses[0].ID, Kind: recommend.Start, At: ustattest.Epoch}, {Course: at.courses[4].ID, Kind: recommend.Start, At: ustattest.Epoch.Add(time.Minute)},
	}})
	require.NoError(t, err)
	return list
}

func (s *spy) Load(r io.Reader) (recommend.Model, error) {
	m, err := s.Strategy.(recommend.Loader).Load(r)
	if err == nil {
		s.last = m
		s.loaded++
	}
	return m, err
}

func TestModelsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, open func(t *testing.T) *storage.Backend) {
		s := newSchool(t, open(t), 4, recommend.Options{})
		s.follows(t, 3, 3)
		s.train(t)
		ctx := t.Context()
		_, err := s.Courses.Enroll(ctx, s.learner(3), "course-0", "")
		require.NoError(t, err)
		want := s.recommended(t, s.learner(3))

		// Another process reads it, and what is broken or foreign is refused and the present one kept.
		model := &spy{Strategy: recommend.NewHybrid(nil)}
		other := school{ustattest.New(t, ustattest.WithBackend(open(t)), ustattest.WithConfig(ustat.Config{Recommend: recommend.Options{Strategies: []recommend.Strategy{model}}})), s.classroom}
		require.Equal(t, 1, model.loaded)
		other.Clock.Advance(s.Clock.Now().Sub(other.Clock.Now()))
		require.Equal(t, want, other.recommended(t, s.learner(3)))

		kept, err := s.Backend.Recommend.Model(ctx, "hybrid")
		require.NoError(t, err)
		for _, change := range []func(data []byte) []byte{
			func(data []byte) []byte { data[len(data)/2] ^= 1; return data },
			func(data []byte) []byte { return data[:len(data)-1] },
			func([]byte) []byte { return []byte("something else") },
		} {
			data, err := s.Backend.Recommend.ModelChunk(ctx, kept.ID, 0)
			require.NoError(t, err)
			bad := kept
			bad.ID, bad.Chunks = uuid.New(), 1
			bad.BeganAt = s.Clock.Now().Add(time.Hour)
			data = change(data)
			require.NoError(t, s.Backend.Recommend.Update(ctx, func(ctx context.Context, tx recommend.Tx) error {
				if err := tx.AddModelChunk(ctx, bad.ID, 0, data, s.Clock.Now()); err != nil {
					return err
				}
				_, err := tx.SetModel(ctx, bad)
				return err
			}))
			err = other.Recommend.Refresh(ctx)
			require.Error(t, err)
			require.True(t, errors.Is(err, recommend.ErrBrokenModel) || errors.Is(err, recommend.ErrForeignModel), "%v", err)
			require.NoError(t, other.Recommend.Refresh(ctx), "it is said once")
			require.Equal(t, want, other.recommended(t, s.learner(3)))
			// What was kept before is gone: the training makes another.
			s.Clock.Advance(2 * time.Hour)
			s.train(t)
			kept, err = s.Backend.Recommend.Model(ctx, "hybrid")
			require.NoError(t, err)
			require.NoError(t, other.Recommend.Refresh(ctx))
		}
		require.Equal(t, 4, model.loaded)
		require.NoError(t, s.Recommend.EraseUser(ctx, accounts.System, s.learner(0).UserID))
		require.NoError(t, other.Recommend.Refresh(ctx), "and the other process is told who is gone")
	})
}

func TestSmallPlatformsAreServed(t *testing.T) {
	t.Parallel()
	b, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	p := ustattest.New(t, ustattest.WithBackend(b))
	require.NoError(t, p.Recommend.Train(t.Context(), nil), "an empty store")
	list, err := p.Recommend.Recommend(t.Context(), core.Actor{}, recommend.Query{})
	require.NoError(t, err)
	require.Empty(t, list.Items)
	s := school{p, newClassroom(t, b, 1)}
	s.update(func(ctx context.Context, tx courses.Tx) error { // one course
		for _, c := range s.courses[1:] {
			if err := tx.DeleteCourse(ctx, c.ID); err != nil {
				return err
			}
		}
		return nil
	})
	s.train(t)
	require.Equal(t, []string{"course-0"}, s.recommended(t, s.learner(0)))
	s.follows(t, 1, 1) // and one user
	s.train(t)
	require.Empty(t, s.recommended(t, s.learner(0)))
	require.Equal(t, []string{"course-0"}, s.recommended(t, core.Actor{}))
	for _, limit := range []int{-1, 101} {
		_, err = s.Recommend.Recommend(t.Context(), core.Actor{}, recommend.Query{Limit: limit})
		require.ErrorIs(t, err, core.ErrInvalid)
	}
}

func TestAnImportedTimeThatNoModelKnowsStopsNothing(t *testing.T) {
	t.Parallel()
	b, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	s := newSchool(t, b, 2, recommend.Options{})
	s.follows(t, 1, 2)
	s.update(func(ctx context.Context, tx courses.Tx) error {
		var old []courses.Enrollment
		for i, year := range []int{1900, 2999} {
			old = append(old, courses.Enrollment{
				Course: s.courses[i].ID, User: s.learner(1).UserID, Status: courses.Active, Source: courses.SourceImport,
				PricePaid: core.Money{Currency: "RUB"}, EnrolledAt: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC),
			})
		}
		_, err := tx.InsertEnrollments(ctx, old)
		return err
	})
	s.train(t)
	require.Len(t, s.recommended(t, s.learner(1)), len(s.courses)-2)
}

func TestACourseThatIsDeletedAfterTheTrainingIsNotServed(t *testing.T) {
	t.Parallel()
	b, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	s := newSchool(t, b, 1, recommend.Options{})
	s.train(t)
	_, err = s.Recommend.Interact(t.Context(), s.learner(0), view("course-3", ""))
	require.NoError(t, err)
	s.update(func(ctx context.Context, tx courses.Tx) error { return tx.DeleteCourse(ctx, s.courses[3].ID) })
	require.NotContains(t, s.recommended(t, s.learner(0)), "course-3")
	require.NoError(t, s.Recommend.ForgetCourse(t.Context(), s.courses[3].ID))
	require.Len(t, s.recommended(t, s.learner(0)), 5)
	records, err := b.Recommend.History(t.Context(), s.learner(0).UserID, 10)
	require.NoError(t, err)
	require.Empty(t, records)
}

func TestLearnersAreSplitBetweenTwoStrategies(t *testing.T) {
	t.Parallel()
	b, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	s := newSchool(t, b, 1, recommend.Options{Strategies: []recommend.Strategy{recommend.NewHybrid(nil), recommend.NewPopularity(nil)}, Share: 20})
	s.train(t)
	second := 0
	for user := range core.UserID(2000) {
		v := s.Recommend.Variant(user + 1)
		require.Equal(t, v, s.Recommend.Variant(user+1))
		if v == "popularity" {
			second++
		}
	}
	require.InDelta(t, 400, second, 80, "four standard errors and more")
	require.Equal(t, "hybrid", s.Recommend.Variant(0))
	by := s.learner(0)
	list, err := s.Recommend.Recommend(t.Context(), by, recommend.Query{})
	require.NoError(t, err)
	require.Equal(t, s.Recommend.Variant(by.UserID), list.Variant)
	_, err = s.Recommend.Interact(t.Context(), by, view("course-0", ""))
	require.NoError(t, err)
	records, err := b.Recommend.History(t.Context(), by.UserID, 1)
	require.NoError(t, err)
	require.Equal(t, list.Variant, records[0].Variant)
}

func TestRecommendTakesAFixedNumberOfStatements(t *testing.T) {
	t.Parallel()
	b, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	s := newSchool(t, b, 4, recommend.Options{})
	count := func(by core.Actor) int {
		t.Helper()
		ctx, counter := storage.CountQueries(t.Context())
		_, err := s.Recommend.Recommend(ctx, by, recommend.Query{})
		require.NoError(t, err)
		return counter.Count()
	}
	s.train(t)
	fresh := count(s.learner(3))
	s.follows(t, 4, 3)
	s.train(t)
	require.Equal(t, fresh, count(s.learner(3)))
	require.LessOrEqual(t, fresh, 10)
}

func TestWithoutAPlaceForInteractionsPopularCoursesAreRecommended(t *testing.T) {
	t.Parallel()
	b, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	without := *b
	without.Recommend = nil
	s := newSchool(t, &without, 2, recommend.Options{})
	s.follows(t, 1, 1)
	require.Equal(t, "course-0", s.recommended(t, s.learner(1))[0])
	require.NotContains(t, s.recommended(t, s.learner(0)), "course-0")
	_, err = s.Recommend.Interact(t.Context(), s.learner(0), view("course-0", ""))
	require.ErrorIs(t, err, recommend.ErrNotSetUp)
}

// cutStore is a store whose transactions fail from some moment on.
type cutStore struct {
	recommend.Store
	left *int
}

var errCut = errors.New("cut")

func (s cutStore) Update(ctx context.Context, fn func(ctx context.Context, tx recommend.Tx) error) error {
	if *s.left--; *s.left < 0 {
		return errCut
	}
	return s.Store.Update(ctx, fn)
}

func TestASaveThatIsCutLeavesTheKeptModel(t *testing.T) {
	t.Parallel()
	b, err := sqlite.InMemory(t.Context(), nil)
	require.NoError(t, err)
	left := math.MaxInt
	cut := *b
	cut.Recommend = cutStore{b.Recommend, &left}
	s := newSchool(t, &cut, 1, recommend.Options{})
	s.train(t)
	kept, err := b.Recommend.Model(t.Context(), "hybrid")
	require.NoError(t, err)
	require.Equal(t, 1, kept.Chunks)
	for after := range 2 { // before its chunk, and between that and the swap
		left = after
		s.Clock.Advance(time.Hour)
		require.ErrorIs(t, s.Recommend.Train(t.Context(), nil), errCut)
		now, err := b.Recommend.Model(t.Context(), "hybrid")
		require.NoError(t, err)
		require.Equal(t, kept, now)
		_, err = b.Recommend.ModelChunk(t.Context(), kept.ID, 0)
		require.NoError(t, err)
		require.Len(t, s.recommended(t, s.learner(0)), 6)
	}
	left = math.MaxInt
	s.Clock.Advance(48 * time.Hour)
	n, err := s.Recommend.Cleanup(t.Context(), s.Clock.Now(), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n, "the chunk of the second is removed")
	s.train(t)
}

func TestInteractionsInAHostsTransactionAreRolledBack(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, open func(t *testing.T) *storage.Backend) {
		s := newSchool(t, open(t), 1, recommend.Options{})
		for i, end := range []error{errCut, nil} {
			err := s.Atomic(t.Context(), func(p *ustat.Platform) error {
				if _, err := p.Recommend.Interact(t.Context(), s.learner(0), view("course-0", "")); err != nil {
					return err
				}
				return end
			})
			require.ErrorIs(t, err, end)
			require.Len(t, s.weights(t, s.learner(0)), i)
		}
	})
}
