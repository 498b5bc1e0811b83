package accounts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
)

// school is what the rules of these tests are told: how many courses users have
// completed, which nobody stores.
type school struct {
	mu        sync.Mutex
	completed map[core.UserID]int
}

func (s *school) set(user core.UserID, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.completed[user] = n
}

func (s *school) earned(least int) func(context.Context, []core.UserID, accounts.Facts) ([]core.UserID, error) {
	return func(_ context.Context, users []core.UserID, _ accounts.Facts) (out []core.UserID, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(users) > accounts.MaxEarned {
			return nil, errors.New("asked about too many")
		}
		for _, id := range users {
			if s.completed[id] >= least {
				out = append(out, id)
			}
		}
		return out, nil
	}
}

const learned = "test.learned"

// learnedBy is the event that users have learned something.
func learnedBy(users ...core.UserID) core.Event {
	return core.NewEvent(learned, "test", core.Actor{}, time.Now(), users)
}

func about(e core.Event) (users []core.UserID) {
	_ = json.Unmarshal(e.Payload, &users)
	return users
}

// rule is an achievement for that many courses.
func (s *school) rule(code string, least int) accounts.Rule {
	return accounts.Rule{
		Achievement: accounts.Achievement{Code: code, Title: "Title of " + code, Description: "For it."},
		Types:       []string{learned}, About: about, Earned: s.earned(least),
	}
}

// withRules gives a world these rules beside the platform's.
func (w *world) withRules(t *testing.T, rules ...accounts.Rule) {
	t.Helper()
	platform, err := ustat.New(w.backend, &ustat.Config{Clock: w.clock, Hasher: w.hasher, Achievements: rules})
	require.NoError(t, err)
	w.Service = platform.Accounts
}

// codes returns what a user is shown to have, in order.
func (w *world) codes(t *testing.T, username string) (codes []string) {
	t.Helper()
	p, err := w.Profile(t.Context(), username)
	require.NoError(t, err)
	for _, a := range p.Achievements {
		require.NotZero(t, a.At)
		codes = append(codes, a.Code)
	}
	return codes
}

func TestWhatIsEarnedIsAwardedOnceAndKept(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		ctx, s := t.Context(), &school{completed: map[core.UserID]int{}}
		w.withRules(t, s.rule("one", 1), s.rule("three", 3))
		anna, boris := w.add(t, "anna", core.Student).UserID, w.add(t, "boris", core.Teacher).UserID
		require.NoError(t, w.Award(ctx, learnedBy(anna, boris)))
		require.Empty(t, w.codes(t, "anna"))
		s.set(anna, 1)
		require.NoError(t, w.Award(ctx, learnedBy(boris)), "an event about another")
		require.Empty(t, w.codes(t, "anna"))
		require.NoError(t, w.Award(ctx, learnedBy(anna, 987654321)), "and about one who is not there")
		require.Equal(t, []string{"one"}, w.codes(t, "anna"))
		first, err := w.Profile(ctx, "anna")
		require.NoError(t, err)

		w.clock.step(time.Hour)
		s.set(anna, 3)
		s.set(987654321, 3)
		for range 2 {
			require.NoError(t, w.Award(ctx, learnedBy(anna, 987654321)))
		}
		require.Equal(t, []string{"one", "three"}, w.codes(t, "anna"))
		s.set(anna, 0) // and what is not so any more takes nothing away
		require.NoError(t, w.Award(ctx, learnedBy(anna)))
		now, err := w.Profile(ctx, "anna")
		require.NoError(t, err)
		require.Equal(t, first.Achievements[0], now.Achievements[0])
		require.Equal(t, 2, w.events(t, accounts.EventAwarded))

		all, err := w.Achievements(ctx, core.Actor{UserID: boris, Role: core.Teacher})
		require.NoError(t, err)
		for _, a := range all {
			require.Zero(t, a.At, "boris has none: %s", a.Code)
		}
		all, err = w.Achievements(ctx, core.Actor{UserID: anna, Role: core.Student})
		require.NoError(t, err)
		require.Equal(t, now.Achievements, all[len(all)-2:])
		page, err := w.Profiles(ctx, "", core.Page{})
		require.NoError(t, err)
		require.Len(t, page.Items, 1)
		require.Empty(t, page.Items[0].Achievements)
	})
}

func TestAPayloadThatCannotBeReadAwardsNothing(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t, "sqlite"), &school{completed: map[core.UserID]int{}}
	w.withRules(t, s.rule("one", 1))
	e := learnedBy()
	e.Payload = []byte(`{"users": "all"}`)
	require.NoError(t, w.Award(t.Context(), e))
}

func TestARuleThatFailsAwardsNothingAndIsAskedAgain(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t, "sqlite"), &school{completed: map[core.UserID]int{}}
	broken, away := s.rule("two", 1), true
	broken.Earned = func(ctx context.Context, users []core.UserID, facts accounts.Facts) ([]core.UserID, error) {
		if away {
			return nil, core.ErrUnavailable
		}
		return s.earned(1)(ctx, users, facts)
	}
	w.withRules(t, s.rule("one", 1), broken)
	anna := w.add(t, "anna", core.Student).UserID
	s.set(anna, 1)
	require.ErrorIs(t, w.Award(t.Context(), learnedBy(anna)), core.ErrUnavailable)
	require.Empty(t, w.codes(t, "anna"))
	away = false
	require.NoError(t, w.Award(t.Context(), learnedBy(anna)))
	require.ElementsMatch(t, []string{"one", "two"}, w.codes(t, "anna"))
}

func TestAtOnceAnAchievementIsAwardedOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		s := &school{completed: map[core.UserID]int{}}
		w.withRules(t, s.rule("one", 1), s.rule("two", 2))
		var users []core.UserID
		for i := range 5 {
			id := w.add(t, fmt.Sprint("user-", i), core.Student).UserID
			users = append(users, id)
			s.set(id, 1+i%2)
		}
		calls := scaled(100, 12)
		errs := make([]error, calls)
		var all sync.WaitGroup
		for i := range calls {
			all.Go(func() {
				if i%4 == 3 {
					errs[i] = w.AwardAll(context.Background())
					return
				}
				some := append([]core.UserID{}, users...)
				rand.Shuffle(len(some), func(a, b int) { some[a], some[b] = some[b], some[a] })
				errs[i] = w.Award(context.Background(), learnedBy(some...))
			})
		}
		all.Wait()
		require.NoError(t, errors.Join(errs...))
		require.Equal(t, 5+2, w.events(t, accounts.EventAwarded), "one event an award")
		awards, err := w.backend.Accounts.AwardsOf(t.Context(), users)
		require.NoError(t, err)
		require.Len(t, awards, 5+2)
	})
}

func TestAllAreAwardedWhatTheyHaveEarned(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		s := &school{completed: map[core.UserID]int{}}
		w.withRules(t, s.rule("one", 1))
		users := make([]accounts.User, accounts.MaxEarned*2+scaled(10_000, 1))
		for i := range users {
			name := fmt.Sprintf("user-%06d", i)
			users[i] = accounts.User{Username: name, Email: name + "@example.org", Role: core.Student, Active: true, CreatedAt: w.clock.Now(), UpdatedAt: w.clock.Now()}
		}
		require.NoError(t, w.backend.Accounts.Update(t.Context(), func(ctx context.Context, tx accounts.Tx) (err error) {
			users, err = tx.InsertUsers(ctx, users)
			return err
		}))
		for i, u := range users {
			if i%3 == 0 || i == len(users)-1 {
				s.set(u.ID, 1)
			}
		}
		want := len(s.completed)
		require.NoError(t, w.AwardAll(t.Context()))
		require.Equal(t, want, w.events(t, accounts.EventAwarded))
		ctx, counter := storage.CountQueries(t.Context())
		require.NoError(t, w.AwardAll(ctx))
		pages := (len(users)+accounts.MaxEarned-1)/accounts.MaxEarned + 1
		require.LessOrEqual(t, counter.Count(), 5*pages, "a page is a fixed number of statements, where nothing is new")
		require.Equal(t, want, w.events(t, accounts.EventAwarded))
	})
}

func TestAnAchievementThatIsAwardedNoMoreIsShownToWhoHasIt(t *testing.T) {
	t.Parallel()
	w, s := newWorld(t, "sqlite"), &school{completed: map[core.UserID]int{}}
	w.withRules(t, s.rule("one", 1), s.rule("gone", 1))
	anna, boris := w.add(t, "anna", core.Student), w.add(t, "boris", core.Student)
	s.set(anna.UserID, 1)
	s.set(boris.UserID, 1)
	require.NoError(t, w.Award(t.Context(), learnedBy(anna.UserID)))
	retired := s.rule("one", 1)
	retired.Earned = nil
	w.withRules(t, retired) // and "gone" is not known any more
	require.NoError(t, w.Award(t.Context(), learnedBy(boris.UserID)))
	require.NoError(t, w.AwardAll(t.Context()))
	require.Equal(t, []string{"one"}, w.codes(t, "anna"))
	require.Empty(t, w.codes(t, "boris"))
	has := func(by core.Actor) (codes []string) {
		all, err := w.Achievements(t.Context(), by)
		require.NoError(t, err)
		for _, a := range all {
			codes = append(codes, a.Code)
		}
		return codes
	}
	require.Contains(t, has(anna), "one")
	require.NotContains(t, has(boris), "one")
	require.NotContains(t, has(core.Actor{}), "one")
	awards, err := w.backend.Accounts.AwardsOf(t.Context(), []core.UserID{anna.UserID})
	require.NoError(t, err)
	require.Len(t, awards, 2, "what is not shown is kept")
}

func TestOnlyAdminsAskForARecompute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sqlite")
	require.ErrorIs(t, w.RecomputeAchievements(t.Context(), core.Actor{}), core.ErrUnauthenticated)
	require.ErrorIs(t, w.RecomputeAchievements(t.Context(), w.add(t, "anna", core.Teacher)), core.ErrForbidden)
	require.Zero(t, w.events(t, accounts.EventRecompute))
	require.NoError(t, w.RecomputeAchievements(t.Context(), w.add(t, "boss", core.Admin)))
	require.Equal(t, 1, w.events(t, accounts.EventRecompute))
	require.Equal(t, 1, w.audits(t, accounts.EventRecompute))
}

func TestRulesOutOfBoundsAreRefused(t *testing.T) {
	t.Parallel()
	s := &school{}
	good := s.rule("one", 1)
	require.NoError(t, accounts.CheckRules([]accounts.Rule{good, {Achievement: accounts.Achievement{Code: "two", Title: "Two"}}}))
	for field, spoil := range map[string]func(*accounts.Rule){
		"rules[1].code":        func(r *accounts.Rule) { r.Code = "No Code" },
		"rules[1].title":       func(r *accounts.Rule) { r.Title = "two\nlines" },
		"rules[1].description": func(r *accounts.Rule) { r.Description = strings.Repeat("я", 501) },
		"rules[1].types":       func(r *accounts.Rule) { r.Types = nil },
	} {
		bad := s.rule("two", 1)
		spoil(&bad)
		err := accounts.CheckRules([]accounts.Rule{good, bad})
		require.ErrorIs(t, err, core.ErrInvalid)
		refused, _ := errors.AsType[*core.Error](err)
		require.Len(t, refused.Violations, 1)
		require.Equal(t, field, refused.Violations[0].Field)
		_, err = ustat.New(newWorld(t, "sqlite").backend, &ustat.Config{Achievements: []accounts.Rule{bad}})
		require.ErrorIs(t, err, core.ErrInvalid)
	}
	require.ErrorIs(t, accounts.CheckRules([]accounts.Rule{good, good}), core.ErrInvalid)
	require.ErrorIs(t, accounts.CheckRules(make([]accounts.Rule, accounts.MaxRules+1)), core.ErrInvalid)
}
