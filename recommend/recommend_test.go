package recommend_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/recommend"
	"github.com/ustat/ustat/recommend/internal/made"
)

// source is a small Source in memory.
type source struct {
	items        []recommend.Item
	interactions []recommend.Interaction
	err          error
}

func (s source) Items(context.Context) iter.Seq2[recommend.Item, error] {
	return func(yield func(recommend.Item, error) bool) {
		for _, item := range s.items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

func (s source) Interactions(context.Context) iter.Seq2[recommend.Interaction, error] {
	return func(yield func(recommend.Interaction, error) bool) {
		for _, in := range s.interactions {
			if !yield(in, nil) {
				return
			}
		}
		if s.err != nil {
			yield(recommend.Interaction{}, s.err)
		}
	}
}

// without is a Source without a learner.
type without struct {
	made.Platform
	user core.UserID
}

func (w without) Interactions(ctx context.Context) iter.Seq2[recommend.Interaction, error] {
	return func(yield func(recommend.Interaction, error) bool) {
		for in, err := range w.Platform.Interactions(ctx) {
			if in.User != w.user && !yield(in, err) {
				return
			}
		}
	}
}

var small = made.Platform{Seed: 7, Courses: 300, Learners: 400, Mean: 6}

type model interface {
	recommend.Model
	recommend.Updater
	recommend.Saver
}

var strategies = []recommend.Strategy{
	recommend.NewHybrid(nil), recommend.NewItemKNN(nil), recommend.NewCategoryAffinity(nil),
	recommend.NewPopularity(nil), recommend.NewPopularity(&recommend.PopularityOptions{Recent: true}),
}

func train(t testing.TB, s recommend.Strategy, src recommend.Source) model {
	t.Helper()
	m, err := s.Train(t.Context(), src, nil)
	require.NoError(t, err)
	return m.(model)
}

// each runs a case for every strategy.
func each(t *testing.T, test func(t *testing.T, s recommend.Strategy)) {
	t.Parallel()
	for _, s := range strategies {
		t.Run(s.Name(), func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

func ask(t testing.TB, m recommend.Model, r recommend.Request) []recommend.Scored {
	t.Helper()
	list, err := m.Recommend(t.Context(), r)
	require.NoError(t, err)
	return list
}

// lists are the answers to requests of the first n learners.
func lists(t testing.TB, m recommend.Model, n int) [][]recommend.Scored {
	var out [][]recommend.Scored
	for user := 1; user <= n; user++ {
		out = append(out, ask(t, m, recommend.Request{K: 10, History: small.History(user)}))
	}
	return out
}

func ids(list []recommend.Scored) []courses.CourseID {
	var out []courses.CourseID
	for _, s := range list {
		out = append(out, s.Course)
	}
	return out
}

func start(user, course, day int) recommend.Interaction {
	return recommend.Interaction{
		User: core.UserID(user), Course: courses.CourseID(course), Kind: recommend.Start,
		At: time.Date(2024, 1, day, 0, 0, 0, 0, time.UTC),
	}
}

func TestTheSameDataGiveTheSameLists(t *testing.T) {
	each(t, func(t *testing.T, s recommend.Strategy) {
		require.Equal(t, lists(t, train(t, s, small), 50), lists(t, train(t, s, small), 50))
	})
}

func TestListsLeaveOutWhatTheyMust(t *testing.T) {
	each(t, func(t *testing.T, s recommend.Strategy) {
		m := train(t, s, small)
		r := recommend.Request{K: 10, History: small.History(3)}
		first := ask(t, m, r)
		require.Len(t, first, 10)
		for at, item := range first {
			require.False(t, slices.ContainsFunc(r.History, func(i recommend.Interaction) bool { return i.Course == item.Course }))
			if at > 0 {
				require.LessOrEqual(t, item.Score, first[at-1].Score)
			}
			require.NotEmpty(t, item.Reason.Kind)
		}
		r.Exclude = []courses.CourseID{first[0].Course}
		require.NoError(t, m.Put(recommend.Item{ID: first[1].Course, Unlisted: true}))
		m.Remove(first[2].Course)
		second := ask(t, m, r)
		require.Len(t, second, 10, "the list is filled after the exclusion")
		for _, gone := range first[:3] {
			require.NotContains(t, ids(second), gone.Course)
		}
	})
}

func TestACourseOnlyLookedAtMayBeRecommended(t *testing.T) {
	each(t, func(t *testing.T, s recommend.Strategy) {
		m := train(t, s, source{items: []recommend.Item{{ID: 1}, {ID: 2}}})
		looked := recommend.Interaction{User: 1, Course: 1, Kind: recommend.View, At: time.Unix(1, 0)}
		require.ElementsMatch(t, []courses.CourseID{1, 2}, ids(ask(t, m, recommend.Request{K: 5, History: []recommend.Interaction{looked}})))
		looked.Kind = recommend.Complete
		require.Equal(t, []courses.CourseID{2}, ids(ask(t, m, recommend.Request{K: 5, History: []recommend.Interaction{looked}})))
	})
}

func TestSmallPlatformsAreServed(t *testing.T) {
	each(t, func(t *testing.T, s recommend.Strategy) {
		require.Empty(t, ask(t, train(t, s, source{}), recommend.Request{K: 5}), "nothing at all")
		one := train(t, s, source{items: []recommend.Item{{ID: 9}}, interactions: []recommend.Interaction{start(1, 9, 1)}})
		require.Equal(t, []courses.CourseID{9}, ids(ask(t, one, recommend.Request{K: 5})), "a newcomer")
		require.Empty(t, ask(t, one, recommend.Request{K: 5, History: []recommend.Interaction{start(1, 9, 1)}}))
		unnamed := train(t, s, source{interactions: []recommend.Interaction{start(1, 4, 1), start(1, 5, 2)}})
		require.Empty(t, ask(t, unnamed, recommend.Request{K: 5, History: []recommend.Interaction{start(2, 4, 1)}}), "courses that are there no more")
	})
}

func TestEventByEventIsLikeAllAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s recommend.Strategy) {
		seed := rand.Uint64()
		t.Logf("seed %d: replay by setting it here", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		whole := train(t, s, small)
		part := train(t, s, small)
		// Some learners are taken out and told again, shuffled, some twice, as events may come.
		var events []recommend.Interaction
		for user := 1; user <= 40; user++ {
			require.True(t, part.Forget(core.UserID(user)))
			events = append(events, small.History(user)...)
		}
		events = append(events, events[:100]...)
		r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		told := 0
		for _, in := range events {
			changed, err := part.Observe(in)
			require.NoError(t, err)
			told += b2i(changed)
		}
		require.Equal(t, len(events)-100, told, "the same one again changes nothing")
		// What is left of the way of learning goes when the best of each course are found again.
		require.True(t, changedAndBack(t, whole))
		require.True(t, changedAndBack(t, part))
		require.Equal(t, lists(t, whole, 100), lists(t, part, 100))
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// changedAndBack adds a learner and takes them out.
func changedAndBack(t *testing.T, m model) bool {
	_, err := m.Observe(start(1_000_000, 1, 1))
	require.NoError(t, err)
	return m.Forget(1_000_000)
}

func TestForgetLeavesAModelThatNeverSawTheLearner(t *testing.T) {
	each(t, func(t *testing.T, s recommend.Strategy) {
		const user = 17
		never := train(t, s, without{small, user})
		m := train(t, s, without{small, user})
		for _, in := range small.History(user) {
			_, err := m.Observe(in)
			require.NoError(t, err)
		}
		var before, after bytes.Buffer
		require.True(t, m.Forget(user))
		require.False(t, m.Forget(user))
		require.Equal(t, lists(t, never, 100), lists(t, m, 100))
		require.NoError(t, never.Save(&before))
		require.NoError(t, m.Save(&after))
		require.True(t, bytes.Equal(before.Bytes(), after.Bytes()), "nothing of them is kept")

		_, err := m.Observe(start(user, 5, 1))
		require.NoError(t, err)
		require.True(t, m.Withdraw(user, 5))
		require.False(t, m.Withdraw(user, 5))
		after.Reset()
		require.NoError(t, m.Save(&after))
		require.True(t, bytes.Equal(before.Bytes(), after.Bytes()), "nor of a course withdrawn")
	})
}

func TestTheNextRequestReflectsAnInteraction(t *testing.T) {
	t.Parallel()
	m := train(t, recommend.NewHybrid(nil), source{items: []recommend.Item{{ID: 1}, {ID: 2}, {ID: 3}, {ID: 4}}})
	history := recommend.Request{K: 1, History: []recommend.Interaction{start(99, 1, 9)}}
	for user := 1; user <= 3; user++ {
		for at, course := range []int{1, 3} {
			_, err := m.Observe(start(user, course, at+1))
			require.NoError(t, err)
		}
	}
	list := ask(t, m, history)
	require.Equal(t, []courses.CourseID{3}, ids(list))
	require.Equal(t, recommend.Reason{Kind: recommend.BecauseTaken, Course: 1}, list[0].Reason)
	similar, err := m.(recommend.Similarer).Similar(t.Context(), 3, 5, nil)
	require.NoError(t, err)
	require.Equal(t, courses.CourseID(1), similar[0].Course)
}

func TestANewCourseIsFoundByWhatItSays(t *testing.T) {
	t.Parallel()
	m := train(t, recommend.NewHybrid(nil), small)
	fresh := small.Item(5)
	fresh.ID = 10_000
	require.NoError(t, m.Put(fresh))
	similar, err := m.(recommend.Similarer).Similar(t.Context(), 10_000, 10, nil)
	require.NoError(t, err)
	require.NotEmpty(t, similar)
	require.Equal(t, recommend.BecauseContent, similar[0].Reason.Kind)
	list := ask(t, m, recommend.Request{K: 40, History: []recommend.Interaction{start(1, 5, 1)}})
	require.Contains(t, ids(list), courses.CourseID(10_000))
	explored := ask(t, m, recommend.Request{K: 3, User: 1, History: []recommend.Interaction{start(1, 5, 1)}, Explore: true})
	require.Len(t, explored, 3)
	require.Equal(t, recommend.BecauseNew, explored[2].Reason.Kind)
}

func TestNewcomersGetWhatTheyPreferThenWhatIsPopular(t *testing.T) {
	t.Parallel()
	src := source{items: []recommend.Item{
		{ID: 1, Categories: []string{"art"}, Ratings: 1, Stars: 5},
		{ID: 2, Categories: []string{"art"}, Ratings: 50, Stars: 240},
		{ID: 3, Categories: []string{"maths"}},
		{ID: 4, Categories: []string{"maths"}, Language: "ru"},
		{ID: 5, Categories: []string{"maths"}, Ratings: 60, Stars: 180},
	}}
	for user := 1; user <= 9; user++ {
		src.interactions = append(src.interactions, start(user, 3, 1))
	}
	m := train(t, recommend.NewHybrid(nil), src)
	require.Equal(t, courses.CourseID(3), ask(t, m, recommend.Request{K: 4})[0].Course)
	liked := ask(t, m, recommend.Request{K: 5, Preferences: map[string]float64{"art": 2}})
	require.Equal(t, []courses.CourseID{2, 1, 3, 4, 5}, ids(liked), "one rating of 5 is no better than fifty of 4.8")
	require.Equal(t, recommend.Reason{Kind: recommend.BecausePreferred, Category: "art"}, liked[0].Reason)
	english := ask(t, m, recommend.Request{K: 5, Languages: []string{"en"}})
	require.Equal(t, courses.CourseID(4), english[4].Course, "a course whose language is not known may be in any")
}

func TestDiversityBringsMoreCategories(t *testing.T) {
	t.Parallel()
	m := train(t, recommend.NewHybrid(nil), small)
	distinct := func(diversity float64) int {
		sum := 0
		for user := 1; user <= 60; user++ {
			seen := map[string]bool{}
			for _, item := range ask(t, m, recommend.Request{K: 10, History: small.History(user), Diversity: diversity}) {
				seen[small.Item(int(item.Course)).Categories[1]] = true
			}
			sum += len(seen)
		}
		return sum
	}
	require.Greater(t, distinct(1), distinct(0))
}

func TestKindsMayWeighNothing(t *testing.T) {
	t.Parallel()
	src := source{items: []recommend.Item{{ID: 1, Categories: []string{"a"}}, {ID: 2, Categories: []string{"a"}}, {ID: 3, Categories: []string{"b"}}}}
	m := train(t, recommend.NewHybrid(&recommend.HybridOptions{Weights: recommend.Weights{Start: 1, Complete: 1}}), src)
	list, err := m.Recommend(t.Context(), recommend.Request{K: 3, History: []recommend.Interaction{{Course: 1, Kind: recommend.View, At: time.Unix(1e9, 0)}}})
	require.NoError(t, err)
	for _, scored := range list {
		require.False(t, math.IsNaN(scored.Score), "%+v", scored)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	each(t, func(t *testing.T, s recommend.Strategy) {
		m := train(t, s, source{})
		for _, r := range []recommend.Request{
			{},
			{K: -1},
			{K: recommend.MaxK + 1},
			{K: 1, Diversity: 2},
			{K: 1, Diversity: -1},
			{K: 1, History: []recommend.Interaction{{Course: 1, At: time.Unix(1, 0)}}},
			{K: 1, At: time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)},
		} {
			_, err := m.Recommend(t.Context(), r)
			require.ErrorIs(t, err, core.ErrInvalid, "%+v", r)
		}
		for _, in := range []recommend.Interaction{{}, {User: 1, Course: 1, At: time.Unix(1, 0)}, {User: 1, Kind: recommend.View}, {Course: 1, Kind: recommend.View, At: time.Unix(1, 0)}} {
			_, err := m.Observe(in)
			require.ErrorIs(t, err, core.ErrInvalid, "%+v", in)
		}
		require.ErrorIs(t, m.Put(recommend.Item{}), core.ErrInvalid)
	})
}

func TestTrainingEndsWithTheErrorOfItsSource(t *testing.T) {
	each(t, func(t *testing.T, s recommend.Strategy) {
		_, err := s.Train(t.Context(), source{err: core.ErrBusy}, nil)
		require.ErrorIs(t, err, core.ErrBusy)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = s.Train(ctx, small, nil)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestKeptModelsServeAlike(t *testing.T) {
	each(t, func(t *testing.T, s recommend.Strategy) {
		m := train(t, s, small)
		_, err := m.Observe(start(500, 1, 1))
		require.NoError(t, err)
		m.Remove(2)
		var kept bytes.Buffer
		require.NoError(t, m.Save(&kept))
		again, err := s.(recommend.Loader).Load(bytes.NewReader(kept.Bytes()))
		require.NoError(t, err)
		require.True(t, changedAndBack(t, m))
		require.Equal(t, lists(t, m, 60), lists(t, again, 60))
		require.True(t, again.(model).Forget(500))
	})
}

func TestBrokenAndForeignModelsAreRefused(t *testing.T) {
	each(t, func(t *testing.T, s recommend.Strategy) {
		seed := rand.Uint64()
		t.Logf("seed %d: replay by setting it here", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		var kept bytes.Buffer
		require.NoError(t, train(t, s, made.Platform{Seed: 1, Courses: 30, Learners: 30, Mean: 4}).Save(&kept))
		loader := s.(recommend.Loader)
		for range 200 {
			bad := bytes.Clone(kept.Bytes())
			if r.IntN(2) == 0 {
				bad = bad[:r.IntN(len(bad))]
			} else {
				bad[r.IntN(len(bad))] ^= byte(1 + r.IntN(255))
			}
			_, err := loader.Load(bytes.NewReader(bad))
			require.Equal(t, core.KindFailedPrecondition, core.KindOf(err), "%v", err)
		}
		for _, other := range strategies {
			if other.Name() != s.Name() {
				_, err := other.(recommend.Loader).Load(bytes.NewReader(kept.Bytes()))
				require.ErrorIs(t, err, recommend.ErrForeignModel)
			}
		}
		_, err := loader.Load(bytes.NewReader(nil))
		require.Equal(t, core.KindFailedPrecondition, core.KindOf(err))
	})
}

func TestReadersGoOnWhileAModelChanges(t *testing.T) {
	t.Parallel()
	var live recommend.Live
	require.Nil(t, live.Model())
	require.NoError(t, live.Train(t.Context(), recommend.NewHybrid(nil), small, nil))
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for user := 1; ; user++ {
				select {
				case <-stop:
					return
				default:
				}
				list, err := live.Model().Recommend(context.Background(), recommend.Request{K: 5, History: small.History(1 + user%300)})
				if err != nil || len(list) != 5 {
					panic(fmt.Sprint(list, err))
				}
			}
		})
	}
	for user := 1; user <= 60; user++ {
		_, err := live.Observe(start(1000+user%7, user, 1+user%20))
		require.NoError(t, err)
		if user%20 == 0 {
			live.Forget(core.UserID(1000 + user%7))
			require.NoError(t, live.Put(recommend.Item{ID: courses.CourseID(2000 + user)}))
			var kept bytes.Buffer
			require.NoError(t, live.Model().(recommend.Saver).Save(&kept))
			require.NoError(t, live.Load(recommend.NewHybrid(nil), &kept))
		}
	}
	require.NoError(t, live.Train(t.Context(), recommend.NewItemKNN(nil), small, nil))
	close(stop)
	readers.Wait()
}

// during is a Source that calls back when its interactions are read.
type during struct {
	recommend.Source
	call func()
}

func (d during) Interactions(ctx context.Context) iter.Seq2[recommend.Interaction, error] {
	d.call()
	return d.Source.Interactions(ctx)
}

func TestWhatComesDuringATrainingIsInTheNewModel(t *testing.T) {
	t.Parallel()
	var live recommend.Live
	src := source{items: []recommend.Item{{ID: 1}, {ID: 2}, {ID: 3}}}
	require.NoError(t, live.Train(t.Context(), recommend.NewPopularity(nil), src, nil))
	call := func() {
		_, err := live.Observe(start(1, 3, 1))
		require.NoError(t, err)
		require.ErrorIs(t, live.Train(t.Context(), recommend.NewPopularity(nil), src, nil), recommend.ErrTraining)
	}
	require.NoError(t, live.Train(t.Context(), recommend.NewPopularity(nil), during{src, call}, nil))
	require.Equal(t, courses.CourseID(3), ask(t, live.Model(), recommend.Request{K: 1})[0].Course)

	before := live.Model()
	require.ErrorIs(t, live.Train(t.Context(), recommend.NewPopularity(nil), source{err: core.ErrBusy}, nil), core.ErrBusy)
	require.ErrorIs(t, live.Load(recommend.NewHybrid(nil), bytes.NewReader([]byte("no model"))), recommend.ErrForeignModel)
	require.Same(t, before, live.Model(), "the model before stays")
}
