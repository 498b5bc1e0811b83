package storagetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/recommend"
	"github.com/ustat/ustat/storage"
)

var recommendDomain = domain{
	name:   "recommend",
	outbox: func(b *storage.Backend) core.Outbox { return b.Recommend },
	update: func(ctx context.Context, b *storage.Backend, fn func(ctx context.Context, tx rows) error) error {
		return b.Recommend.Update(ctx, func(ctx context.Context, tx recommend.Tx) error {
			return fn(ctx, rows{
				Tx:  tx,
				add: func(ctx context.Context, names ...string) error { return addNamed(ctx, tx, names) },
				has: func(ctx context.Context, name string) (bool, error) { return hasRecord(ctx, tx, name) },
				fault: func(ctx context.Context) error {
					r := namedRecord("nothing")
					r.Kind = 9
					_, err := tx.AddRecords(ctx, []recommend.Record{r})
					return err
				},
			})
		})
	},
	has: func(ctx context.Context, b *storage.Backend, name string) (bool, error) {
		return hasRecord(ctx, b.Recommend, name)
	},
}

// addNamed adds records of names, or none: for this Store one that is there is no error.
func addNamed(ctx context.Context, tx recommend.Tx, names []string) error {
	list := make([]recommend.Record, len(names))
	for i, name := range names {
		list[i] = namedRecord(name)
	}
	added, err := tx.AddRecords(ctx, list)
	if err != nil || len(added) == len(list) {
		return err
	}
	for _, r := range list {
		if slices.Contains(added, r.ID) {
			if _, err := tx.RemoveRecords(ctx, r.User, r.Course); err != nil {
				return err
			}
		}
	}
	return core.ErrConflict
}

func hasRecord(ctx context.Context, r recommend.Reader, name string) (bool, error) {
	want := namedRecord(name)
	_, err := r.RecordByID(ctx, want.User, want.ID)
	if errors.Is(err, recommend.ErrRecordNotFound) {
		return false, nil
	}
	return err == nil, err
}

// namedRecord returns a record whose course and id are made of a name.
func namedRecord(name string) recommend.Record {
	id := uuid.NewSHA1(uuid.NameSpaceOID, []byte(name))
	course := courses.CourseID(1)
	for _, b := range id[:7] {
		course = course<<8 | courses.CourseID(b)
	}
	return record(42, course, recommend.Bookmark, day)
}

// record returns a record whose id is made of what it says.
func record(user core.UserID, course courses.CourseID, kind recommend.Kind, at time.Time) recommend.Record {
	return recommend.Record{
		ID:          uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, user, course, kind, at)),
		Interaction: recommend.Interaction{User: user, Course: course, Kind: kind, At: at},
	}
}

func inRecommend(t testing.TB, b *storage.Backend, fn func(ctx context.Context, tx recommend.Tx) error) {
	t.Helper()
	require.NoError(t, b.Recommend.Update(timeout(t), fn))
}

// addRecords adds records and returns how many counted.
func addRecords(t testing.TB, b *storage.Backend, list ...recommend.Record) (n int) {
	t.Helper()
	inRecommend(t, b, func(ctx context.Context, tx recommend.Tx) error {
		added, err := tx.AddRecords(ctx, list)
		n = len(added)
		return err
	})
	return n
}

func recordsOf(t testing.TB, b *storage.Backend, user core.UserID) []recommend.Record {
	t.Helper()
	list, err := b.Recommend.History(timeout(t), user, 100)
	require.NoError(t, err)
	return list
}

func grow(t testing.TB, b *storage.Backend, list ...recommend.Growth) {
	t.Helper()
	inRecommend(t, b, func(ctx context.Context, tx recommend.Tx) error { return tx.Grow(ctx, list) })
}

// growthsOf returns what the weights of a user's categories have grown by.
func growthsOf(t testing.TB, b *storage.Backend, user core.UserID) map[courses.CategoryID]float64 {
	t.Helper()
	list, err := b.Recommend.Growths(timeout(t), user, 100)
	require.NoError(t, err)
	require.True(t, slices.IsSortedFunc(list, func(a, b recommend.Growth) int { return cmp.Compare(b.By, a.By) }))
	out := map[courses.CategoryID]float64{}
	for _, g := range list {
		require.Equal(t, user, g.User)
		out[g.Category] = g.By
	}
	return out
}

// RunRecommend runs the cases of recommend.Store, in a whole backend as RunAccounts.
func RunRecommend(t *testing.T, open Open, limits Limits) {
	s := suite{t, open, limits}
	s.updates(recommendDomain, accountsDomain)
	s.outbox(recommendDomain, accountsDomain)
	s.idempotency(recommendDomain)
	s.forgetting(recommendDomain, accountsDomain)
	s.interactions()
	s.preferences()
	s.dismissals()
	s.models()
}

func (s suite) interactions() {
	s.run("AddRecords adds what does not count already: a view a day, each other kind once, an id of a learner once", func(t *testing.T, b *storage.Backend) {
		first := record(1, 10, recommend.View, day)
		first.Category, first.Variant = 7, "hybrid"
		given := first
		given.At = zoned(day)
		require.Equal(t, 1, addRecords(t, b, given))
		got, err := b.Recommend.RecordByID(timeout(t), 1, first.ID)
		require.NoError(t, err)
		utc(t, day, got.At)
		require.Equal(t, first, got)
		again := func(change func(r *recommend.Record)) recommend.Record {
			r := first
			change(&r)
			return r
		}
		fresh := func(r *recommend.Record) { r.ID = uuid.New() }
		for _, c := range []struct {
			what   string
			record recommend.Record
			want   int
		}{
			{"the same", first, 0},
			{"on the same day", again(func(r *recommend.Record) { fresh(r); r.At = day.Add(time.Second) }), 0},
			{"the id of another day", again(func(r *recommend.Record) { r.At = day.Add(48 * time.Hour) }), 0},
			{"of the next day", again(func(r *recommend.Record) { fresh(r); r.At = day.Add(2 * time.Second) }), 1},
			{"the id of another learner's", again(func(r *recommend.Record) { r.User = 2 }), 1},
			{"of another course", again(func(r *recommend.Record) { fresh(r); r.Course = 11 }), 1},
			{"a start", again(func(r *recommend.Record) { fresh(r); r.Kind = recommend.Start }), 1},
			{"a start of another day", again(func(r *recommend.Record) { fresh(r); r.Kind, r.At = recommend.Start, day.AddDate(1, 0, 0) }), 0},
		} {
			require.Equal(t, c.want, addRecords(t, b, c.record), c.what)
		}
		twice := record(3, 10, recommend.Complete, day)
		other := twice
		other.ID = uuid.New()
		require.Equal(t, 2, addRecords(t, b, twice, other, record(3, 11, recommend.View, day)), "two of a list count once")
		require.Zero(t, addRecords(t, b))
		_, err = b.Recommend.RecordByID(timeout(t), 3, first.ID)
		require.ErrorIs(t, err, recommend.ErrRecordNotFound)
	})
	s.run("History returns a learner's records, the newest first, and RecordsAfter walks through all", func(t *testing.T, b *storage.Backend) {
		var all []recommend.Record
		for user := core.UserID(1); user <= 3; user++ {
			for course := courses.CourseID(1); course <= 3; course++ {
				for i, kind := range []recommend.Kind{recommend.View, recommend.View, recommend.Start} {
					all = append(all, record(user, course, kind, day.Add(-time.Duration(int(course)*5+i)*24*time.Hour)))
				}
			}
		}
		require.Equal(t, len(all), addRecords(t, b, all...))
		theirs := slices.Clone(all[9:18])
		slices.SortFunc(theirs, func(a, b recommend.Record) int { return b.At.Compare(a.At) })
		require.Equal(t, theirs, recordsOf(t, b, 2))
		got, err := b.Recommend.History(timeout(t), 2, 4)
		require.NoError(t, err)
		require.Equal(t, theirs[:4], got)
		slices.SortFunc(all, func(a, b recommend.Record) int {
			return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Course, b.Course), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Slot(), b.Slot()))
		})
		for _, limit := range []int{1, 4, 100} {
			require.Equal(t, all, walked(t, limit, func(last *recommend.Record) ([]recommend.Record, error) {
				var after recommend.Record
				if last != nil {
					after = *last
				}
				return b.Recommend.RecordsAfter(timeout(t), after, limit)
			}))
		}
	})
	s.run("RemoveRecords removes what a learner did with a course and returns it", func(t *testing.T, b *storage.Backend) {
		view, start := record(1, 10, recommend.View, day), record(1, 10, recommend.Start, day)
		start.Category = 7
		kept := []recommend.Record{record(1, 11, recommend.View, day)}
		addRecords(t, b, append(kept, view, start, record(2, 10, recommend.View, day))...)
		inRecommend(t, b, func(ctx context.Context, tx recommend.Tx) error {
			got, err := tx.RemoveRecords(ctx, 1, 10)
			slices.SortFunc(got, func(a, b recommend.Record) int { return cmp.Compare(a.Kind, b.Kind) })
			if err == nil && !slices.Equal(got, []recommend.Record{view, start}) {
				err = fmt.Errorf("it returned %v", got)
			}
			return err
		})
		require.Equal(t, kept, recordsOf(t, b, 1))
		require.Len(t, recordsOf(t, b, 2), 1)
	})
	s.run("ForgetUser and ForgetCourse remove up to limit of each", func(t *testing.T, b *storage.Backend) {
		for user := core.UserID(1); user <= 2; user++ {
			for course := courses.CourseID(1); course <= 3; course++ {
				addRecords(t, b, record(user, course, recommend.View, day))
				dismiss(t, b, user, course, true)
			}
			grow(t, b, recommend.Growth{User: user, Category: 7, By: 1, Most: 9})
		}
		forget := func(do func(ctx context.Context, tx recommend.Tx) (int, error), want int) {
			t.Helper()
			inRecommend(t, b, func(ctx context.Context, tx recommend.Tx) error {
				n, err := do(ctx, tx)
				if err == nil && n != want {
					err = fmt.Errorf("%d were removed, not %d", n, want)
				}
				return err
			})
		}
		course := func(ctx context.Context, tx recommend.Tx) (int, error) { return tx.ForgetCourse(ctx, 3, 1) }
		forget(course, 2)
		forget(course, 2)
		forget(course, 0)
		user := func(ctx context.Context, tx recommend.Tx) (int, error) { return tx.ForgetUser(ctx, 1, 1) }
		forget(user, 3)
		forget(user, 2)
		forget(user, 0)
		require.Empty(t, recordsOf(t, b, 1))
		require.Empty(t, growthsOf(t, b, 1))
		require.Len(t, recordsOf(t, b, 2), 2)
		require.Len(t, growthsOf(t, b, 2), 1)
	})
}

func (s suite) preferences() {
	s.run("Grow adds to a weight up to the most it may be, and takes none below 0", func(t *testing.T, b *storage.Backend) {
		by := func(by, most float64) { grow(t, b, recommend.Growth{User: 1, Category: 7, By: by, Most: most}) }
		is := func(want float64) { t.Helper(); require.InDelta(t, want, growthsOf(t, b, 1)[7], 1e-12) }
		by(-1, 9)
		require.Empty(t, growthsOf(t, b, 1), "what is not there is not taken from")
		by(.1, 9)
		is(.1)
		by(.5, 9)
		is(.6)
		by(1, 1.2)
		is(1.2)
		by(.5, 1)
		is(1.2)
		by(-.2, 9)
		is(1)
		by(-5, 9)
		is(0)
		grow(t, b, recommend.Growth{User: 1, Category: 8, By: 20, Most: 9}, recommend.Growth{User: 1, Category: 7, By: 1, Most: 9}, recommend.Growth{User: 2, Category: 7, By: 3, Most: 9})
		require.Equal(t, map[courses.CategoryID]float64{7: 1, 8: 9}, growthsOf(t, b, 1))
		list, err := b.Recommend.Growths(timeout(t), 1, 1)
		require.NoError(t, err)
		require.Equal(t, []recommend.Growth{{User: 1, Category: 8, By: 9}}, list)
	})
	s.run("of many interactions at once each that counts grows a weight once", func(t *testing.T, b *storage.Backend) {
		const writers = 16
		var wg sync.WaitGroup
		errs := make([]error, 2*writers)
		for i := range errs { // each of two writers
			wg.Go(func() {
				errs[i] = b.Recommend.Update(timeout(t), func(ctx context.Context, tx recommend.Tx) error {
					added, err := tx.AddRecords(ctx, []recommend.Record{record(1, courses.CourseID(i/2+1), recommend.View, day)})
					if err != nil || len(added) == 0 {
						return err
					}
					return tx.Grow(ctx, []recommend.Growth{{User: 1, Category: 7, By: .125, Most: 9}})
				})
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		require.Equal(t, map[courses.CategoryID]float64{7: writers * .125}, growthsOf(t, b, 1))
	})
	s.run("ResetPreferences removes the weights and what records would take from them", func(t *testing.T, b *storage.Backend) {
		mine, theirs := record(1, 10, recommend.View, day), record(2, 10, recommend.View, day)
		mine.Category, theirs.Category = 7, 7
		addRecords(t, b, mine, theirs)
		grow(t, b, recommend.Growth{User: 1, Category: 7, By: 1, Most: 9}, recommend.Growth{User: 2, Category: 7, By: 1, Most: 9})
		inRecommend(t, b, func(ctx context.Context, tx recommend.Tx) error { return tx.ResetPreferences(ctx, 1) })
		require.Empty(t, growthsOf(t, b, 1))
		require.Len(t, growthsOf(t, b, 2), 1)
		mine.Category = 0
		require.Equal(t, []recommend.Record{mine}, recordsOf(t, b, 1))
		require.Equal(t, []recommend.Record{theirs}, recordsOf(t, b, 2))
	})
}

// dismiss sets a dismissal whose time is that many seconds behind day.
func dismiss(t testing.TB, b *storage.Backend, user core.UserID, course courses.CourseID, on bool) (changed bool) {
	t.Helper()
	inRecommend(t, b, func(ctx context.Context, tx recommend.Tx) (err error) {
		changed, err = tx.SetDismissed(ctx, recommend.Dismissal{User: user, Course: course, At: day.Add(time.Duration(course) * time.Second)}, on)
		return err
	})
	return changed
}

func (s suite) dismissals() {
	s.run("SetDismissed says whether it changed anything, and Dismissed returns the latest first", func(t *testing.T, b *storage.Backend) {
		for course := courses.CourseID(1); course <= 3; course++ {
			require.True(t, dismiss(t, b, 1, course, true))
			require.False(t, dismiss(t, b, 1, course, true))
		}
		require.True(t, dismiss(t, b, 1, 2, false))
		require.False(t, dismiss(t, b, 1, 2, false))
		got, err := b.Recommend.Dismissed(timeout(t), 1, 10)
		require.NoError(t, err)
		require.Equal(t, []courses.CourseID{3, 1}, got)
		got, err = b.Recommend.Dismissed(timeout(t), 1, 1)
		require.NoError(t, err)
		require.Equal(t, []courses.CourseID{3}, got)
		inRecommend(t, b, func(ctx context.Context, tx recommend.Tx) error {
			mine, err := tx.CountDismissed(ctx, 1)
			none, noneErr := tx.CountDismissed(ctx, 2)
			if mine != 2 || none != 0 {
				err = fmt.Errorf("%d and %d are counted", mine, none)
			}
			return errors.Join(err, noneErr)
		})
	})
}

func (s suite) models() {
	save := func(t testing.TB, b *storage.Backend, m recommend.KeptModel, chunks ...string) (kept bool) {
		t.Helper()
		inRecommend(t, b, func(ctx context.Context, tx recommend.Tx) (err error) {
			for n, data := range chunks {
				if err := tx.AddModelChunk(ctx, m.ID, n, []byte(data), day); err != nil {
					return err
				}
			}
			if m.Chunks = len(chunks); m.Strategy == "" {
				return nil
			}
			kept, err = tx.SetModel(ctx, m)
			return err
		})
		return kept
	}
	gone := func(t testing.TB, b *storage.Backend, id uuid.UUID, n int) {
		t.Helper()
		_, err := b.Recommend.ModelChunk(timeout(t), id, n)
		require.ErrorIs(t, err, recommend.ErrNoModel)
	}
	s.run("SetModel takes the place of the model before, but not of one that began later", func(t *testing.T, b *storage.Backend) {
		_, err := b.Recommend.Model(timeout(t), "knn")
		require.ErrorIs(t, err, recommend.ErrNoModel)
		first := recommend.KeptModel{Strategy: "knn", ID: uuid.New(), Chunks: 2, Size: 5, BeganAt: day, SavedAt: day.Add(time.Second)}
		require.True(t, save(t, b, first, "ab\x00", "\xff\xfe"))
		other := first
		other.Strategy, other.ID = "other", uuid.New()
		require.True(t, save(t, b, other, "cd", "e"))
		got, err := b.Recommend.Model(timeout(t), "knn")
		require.NoError(t, err)
		require.Equal(t, first, got)
		chunk, err := b.Recommend.ModelChunk(timeout(t), first.ID, 0)
		require.NoError(t, err)
		require.Equal(t, "ab\x00", string(chunk))
		gone(t, b, first.ID, 2)
		older, newer := first, first
		older.ID, older.BeganAt = uuid.New(), day.Add(-time.Second)
		newer.ID, newer.BeganAt = uuid.New(), day.Add(time.Second)
		require.False(t, save(t, b, older, "x", "y"))
		got, err = b.Recommend.Model(timeout(t), "knn")
		require.NoError(t, err)
		require.Equal(t, first, got)
		require.True(t, save(t, b, newer, "x", "y"))
		got, err = b.Recommend.Model(timeout(t), "knn")
		require.NoError(t, err)
		require.Equal(t, newer, got)
		gone(t, b, first.ID, 0)
		_, err = b.Recommend.ModelChunk(timeout(t), other.ID, 0)
		require.NoError(t, err)
	})
	s.run("ForgetChunks removes chunks of no kept model", func(t *testing.T, b *storage.Backend) {
		kept := recommend.KeptModel{Strategy: "knn", ID: uuid.New(), Size: 2, BeganAt: day, SavedAt: day}
		require.True(t, save(t, b, kept, "a", "b"))
		left := recommend.KeptModel{ID: uuid.New()}
		save(t, b, left, "x", "y", "z")
		forget := func(before time.Time, want int) {
			t.Helper()
			inRecommend(t, b, func(ctx context.Context, tx recommend.Tx) error {
				n, err := tx.ForgetChunks(ctx, before, 2)
				if err == nil && n != want {
					err = fmt.Errorf("%d were removed, not %d", n, want)
				}
				return err
			})
		}
		forget(day, 0)
		forget(day.Add(time.Second), 2)
		forget(day.Add(time.Second), 1)
		forget(day.Add(time.Second), 0)
		_, err := b.Recommend.ModelChunk(timeout(t), kept.ID, 1)
		require.NoError(t, err)
	})
	s.run("Removals returns those of a time and later, in order, and ForgetRemovals removes those of courses of before", func(t *testing.T, b *storage.Backend) {
		var all []recommend.Removal
		for i := range 5 {
			r := recommend.Removal{User: core.UserID(i + 1), Course: courses.CourseID(i % 2), At: day.Add(time.Duration(i) * time.Second)}
			all = append(all, r)
			inRecommend(t, b, func(ctx context.Context, tx recommend.Tx) error { return tx.AddRemoval(ctx, r) })
		}
		read := func(since time.Time, limit int) (got []recommend.Removal) {
			t.Helper()
			for after := recommend.Position(0); ; {
				page, next, err := b.Recommend.Removals(timeout(t), since, after, limit)
				require.NoError(t, err)
				got, after = append(got, page...), next
				if len(page) < limit {
					return got
				}
			}
		}
		require.Equal(t, all, read(time.Time{}, 2))
		require.Equal(t, all[2:], read(day.Add(2*time.Second), 100))
		inRecommend(t, b, func(ctx context.Context, tx recommend.Tx) error {
			first, err := tx.ForgetRemovals(ctx, day.Add(3*time.Second), 1)
			second, secondErr := tx.ForgetRemovals(ctx, day.Add(3*time.Second), 1)
			if first != 1 || second != 0 {
				err = fmt.Errorf("%d and %d were removed", first, second)
			}
			return errors.Join(err, secondErr)
		})
		require.Equal(t, slices.Delete(all, 1, 2), read(time.Time{}, 100))
	})
}
