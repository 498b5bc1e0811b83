package storagetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

type (
	accountsUpdate = func(ctx context.Context, fn func(ctx context.Context, tx accounts.Tx) error) error
	coursesUpdate  = func(ctx context.Context, fn func(ctx context.Context, tx courses.Tx) error) error
)

// accountsStore is a store of which some methods are replaced.
type accountsStore struct {
	accounts.Store
	update  accountsUpdate
	pending func(ctx context.Context, limit int) ([]core.Event, error)
	byName  func(ctx context.Context, username string) (accounts.User, error)
	// wrap replaces the Tx.
	wrap func(tx accounts.Tx) accounts.Tx
}

func (s accountsStore) Update(ctx context.Context, fn func(ctx context.Context, tx accounts.Tx) error) error {
	if s.update != nil {
		return s.update(ctx, fn)
	}
	return s.Store.Update(ctx, func(ctx context.Context, tx accounts.Tx) error {
		if s.wrap != nil {
			tx = s.wrap(tx)
		}
		return fn(ctx, tx)
	})
}

func (s accountsStore) Pending(ctx context.Context, limit int) ([]core.Event, error) {
	if s.pending != nil {
		return s.pending(ctx, limit)
	}
	return s.Store.Pending(ctx, limit)
}

func (s accountsStore) UserByUsername(ctx context.Context, username string) (accounts.User, error) {
	if s.byName != nil {
		return s.byName(ctx, username)
	}
	return s.Store.UserByUsername(ctx, username)
}

// accountsTx is a Tx of which some methods are replaced.
type accountsTx struct {
	accounts.Tx
	insert func(ctx context.Context, users []accounts.User) ([]accounts.User, error)
	claim  func(ctx context.Context, key core.IdempotencyKey) ([]byte, bool, error)
	emit   func(ctx context.Context, events ...core.Event) error
	revoke func(ctx context.Context, id uuid.UUID, at time.Time) error
	update func(ctx context.Context, users ...accounts.User) error
}

func (tx accountsTx) RevokeSession(ctx context.Context, id uuid.UUID, at time.Time) error {
	if tx.revoke != nil {
		return tx.revoke(ctx, id, at)
	}
	return tx.Tx.RevokeSession(ctx, id, at)
}

func (tx accountsTx) UpdateUsers(ctx context.Context, users ...accounts.User) error {
	if tx.update != nil {
		return tx.update(ctx, users...)
	}
	return tx.Tx.UpdateUsers(ctx, users...)
}

func (tx accountsTx) InsertUsers(ctx context.Context, users []accounts.User) ([]accounts.User, error) {
	if tx.insert != nil {
		return tx.insert(ctx, users)
	}
	return tx.Tx.InsertUsers(ctx, users)
}

func (tx accountsTx) Claim(ctx context.Context, key core.IdempotencyKey) ([]byte, bool, error) {
	if tx.claim != nil {
		return tx.claim(ctx, key)
	}
	return tx.Tx.Claim(ctx, key)
}

func (tx accountsTx) Emit(ctx context.Context, events ...core.Event) error {
	if tx.emit != nil {
		return tx.emit(ctx, events...)
	}
	return tx.Tx.Emit(ctx, events...)
}

// coursesStore is a store of which some methods are replaced.
type coursesStore struct {
	courses.Store
	update coursesUpdate
	list   func(ctx context.Context, q courses.ListQuery) ([]courses.Hit, error)
	bySlug func(ctx context.Context, slug string) (courses.Course, error)
	// wrap replaces the Tx.
	wrap func(tx courses.Tx) courses.Tx
}

func (s coursesStore) Update(ctx context.Context, fn func(ctx context.Context, tx courses.Tx) error) error {
	if s.update != nil {
		return s.update(ctx, fn)
	}
	return s.Store.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
		if s.wrap != nil {
			tx = s.wrap(tx)
		}
		return fn(ctx, tx)
	})
}

// stale is a Tx whose CourseForUpdate gives what was there before the Update, as one
// that takes no lock does.
type stale struct {
	courses.Tx
	before courses.Course
}

func (tx stale) CourseForUpdate(context.Context, string) (courses.Course, error) {
	return tx.before, nil
}

// forgetful is a Tx whose renames forget the old slug.
type forgetful struct{ courses.Tx }

func (tx forgetful) UpdateCourses(ctx context.Context, list []courses.Course) error {
	for _, c := range list {
		if stored, err := tx.CoursesBySlug(ctx, []string{c.Slug}); err != nil || len(stored) > 0 {
			continue
		}
		if err := tx.DeleteCourse(ctx, c.ID); err != nil {
			return err
		}
		c.ID = 0
		_, err := tx.InsertCourses(ctx, []courses.Course{c})
		return err
	}
	return tx.Tx.UpdateCourses(ctx, list)
}

func (s coursesStore) ListCourses(ctx context.Context, q courses.ListQuery) ([]courses.Hit, error) {
	if s.list != nil {
		return s.list(ctx, q)
	}
	return s.Store.ListCourses(ctx, q)
}

func (s coursesStore) CourseBySlug(ctx context.Context, slug string) (courses.Course, error) {
	if s.bySlug != nil {
		return s.bySlug(ctx, slug)
	}
	return s.Store.CourseBySlug(ctx, slug)
}

// generous is a Tx that takes uses of coupons by a read and a later write.
type generous struct{ courses.Tx }

func (tx generous) UseCoupon(ctx context.Context, code string, user core.UserID, at time.Time) (bool, error) {
	ok, err := tx.Tx.UseCoupon(ctx, code, user, at)
	if err != nil || ok {
		return ok, err
	}
	c, err := tx.CouponByCode(ctx, code)
	return err == nil && c.Active, nil
}

// recorder keeps the categories that a Tx was told to add.
type recorder struct {
	courses.Tx
	added []courses.Category
}

func (r *recorder) InsertCategories(ctx context.Context, list []courses.Category) ([]courses.Category, error) {
	out, err := r.Tx.InsertCategories(ctx, list)
	if err == nil {
		r.added = append(r.added, list...)
	}
	return out, err
}

func (r *recorder) replay(inner courses.Store) {
	_ = inner.Update(context.Background(), func(ctx context.Context, tx courses.Tx) error {
		_, err := tx.InsertCategories(ctx, r.added)
		return err
	})
}

// recording runs fn in inner's Update and hands what it added to after.
func recording(inner courses.Store, after func(r *recorder, closure, update error) error) coursesUpdate {
	return func(ctx context.Context, fn func(ctx context.Context, tx courses.Tx) error) error {
		var r *recorder
		var closure error
		err := inner.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
			r = &recorder{Tx: tx}
			closure = fn(ctx, r)
			return closure
		})
		if r == nil {
			return err
		}
		return after(r, closure, err)
	}
}

// secrets is a Keys that gives each caller its own.
type secrets struct{ storage.Keys }

func (secrets) Key(_ context.Context, _ string, fresh func() []byte) ([]byte, error) {
	return fresh(), nil
}

// wrongs are the broken stores: what each does to a good backend, and the case
// that must find it.
var wrongs = map[string]struct {
	spoil func(b *storage.Backend)
	found string
}{
	"lost rollback": {func(b *storage.Backend) {
		inner := b.Courses
		b.Courses = coursesStore{Store: inner, update: recording(inner, func(r *recorder, closure, err error) error {
			if closure != nil {
				r.replay(inner)
			}
			return err
		})}
	}, "courses/an error rolls back everything and comes back"},
	"swallowed driver error that commits": {func(b *storage.Backend) {
		inner := b.Courses
		b.Courses = coursesStore{Store: inner, update: recording(inner, func(r *recorder, closure, err error) error {
			if closure == nil && err != nil {
				r.replay(inner)
				return nil
			}
			return err
		})}
	}, "courses/an error of the driver that the closure swallows rolls back and fails Update"},
	"accepted duplicate": {func(b *storage.Backend) {
		b.Accounts = accountsStore{Store: b.Accounts, wrap: func(tx accounts.Tx) accounts.Tx {
			return accountsTx{Tx: tx, insert: func(ctx context.Context, users []accounts.User) ([]accounts.User, error) {
				out, err := tx.InsertUsers(ctx, users)
				if errors.Is(err, core.ErrConflict) {
					return users, nil
				}
				return out, err
			}}
		}}
	}, "accounts/a conflict adds none of the list and leaves the Tx usable"},
	"skipping cursor": {func(b *storage.Backend) {
		inner := b.Courses
		b.Courses = coursesStore{Store: inner, list: func(ctx context.Context, q courses.ListQuery) ([]courses.Hit, error) {
			if q.After == nil {
				return inner.ListCourses(ctx, q)
			}
			q.Limit++
			hits, err := inner.ListCourses(ctx, q)
			return hits[min(1, len(hits)):], err
		}}
	}, "courses/every sort with every filter visits each course once, in order, on pages of any size"},
	"wrong time zone": {func(b *storage.Backend) {
		inner := b.Courses
		b.Courses = coursesStore{Store: inner, bySlug: func(ctx context.Context, slug string) (courses.Course, error) {
			c, err := inner.CourseBySlug(ctx, slug)
			c.CreatedAt = c.CreatedAt.In(time.FixedZone("MSK", 3*3600))
			return c, err
		}}
	}, "courses/courses come back whole but for the teacher's names"},
	"nested Update that commits on its own": {func(b *storage.Backend) {
		inner := b.Courses
		b.Courses = coursesStore{Store: inner, update: func(ctx context.Context, fn func(ctx context.Context, tx courses.Tx) error) error {
			if core.CheckNested(ctx) != nil {
				// The one writer is taken: it commits as soon as it can.
				go func() { _ = inner.Update(context.Background(), fn) }()
				return nil
			}
			return inner.Update(ctx, fn)
		}}
	}, "courses/a call inside a running Update that is not the Tx's fails at once with ErrNested"},
	"nested Update that hangs": {func(b *storage.Backend) {
		inner := b.Accounts
		b.Accounts = accountsStore{Store: inner, update: func(ctx context.Context, fn func(ctx context.Context, tx accounts.Tx) error) error {
			if core.CheckNested(ctx) != nil {
				<-ctx.Done()
				return ctx.Err()
			}
			return inner.Update(ctx, fn)
		}}
	}, "accounts/a call inside a running Update that is not the Tx's fails at once with ErrNested"},
	"canceled for what was committed": {func(b *storage.Backend) {
		inner := b.Accounts
		b.Accounts = accountsStore{Store: inner, update: func(ctx context.Context, fn func(ctx context.Context, tx accounts.Tx) error) error {
			if err := inner.Update(ctx, fn); err != nil {
				return err
			}
			return ctx.Err()
		}}
	}, "accounts/a cancelled context never reports failure for what was committed"},
	"Pending that skips late events": {func(b *storage.Backend) {
		inner := b.Accounts
		var mu sync.Mutex
		last := ""
		b.Accounts = accountsStore{Store: inner, pending: func(ctx context.Context, limit int) ([]core.Event, error) {
			mu.Lock()
			defer mu.Unlock()
			events, err := inner.Pending(ctx, limit)
			events = slices.DeleteFunc(events, func(e core.Event) bool { return e.ID.String() < last })
			if len(events) > 0 {
				last = events[0].ID.String()
			}
			return events, err
		}}
	}, "accounts/Pending never skips a late commit"},
	"Pending that shows another store's events": {func(b *storage.Backend) {
		inner, other := b.Accounts, b.Courses
		b.Accounts = accountsStore{Store: inner, pending: func(ctx context.Context, limit int) ([]core.Event, error) {
			own, err := inner.Pending(ctx, limit)
			foreign, otherErr := other.Pending(ctx, limit)
			return append(own, foreign...), errors.Join(err, otherErr)
		}}
	}, "accounts/Pending has the events of its own store only"},
	"Tx that takes events after its end": {func(b *storage.Backend) {
		b.Accounts = accountsStore{Store: b.Accounts, wrap: func(tx accounts.Tx) accounts.Tx {
			return accountsTx{Tx: tx, emit: func(ctx context.Context, events ...core.Event) error {
				if err := tx.Emit(ctx, events...); !errors.Is(err, core.ErrTxDone) {
					return err
				}
				return nil
			}}
		}}
	}, "accounts/a Tx used after its Update ended fails with ErrTxDone"},
	"events that are lost": {func(b *storage.Backend) {
		b.Accounts = accountsStore{Store: b.Accounts, wrap: func(tx accounts.Tx) accounts.Tx {
			return accountsTx{Tx: tx, emit: func(ctx context.Context, events ...core.Event) error {
				return tx.Emit(ctx, events[:min(len(events), 1)]...)
			}}
		}}
	}, "accounts/events appear after the commit, oldest first, up to the limit"},
	"user looked up with case": {func(b *storage.Backend) {
		inner := b.Accounts
		b.Accounts = accountsStore{Store: inner, byName: func(ctx context.Context, username string) (accounts.User, error) {
			u, err := inner.UserByUsername(ctx, username)
			if err == nil && u.Username != username {
				return accounts.User{}, accounts.ErrUserNotFound
			}
			return u, err
		}}
	}, "accounts/a user is found by username without regard to case"},
	"text cut at NUL": {func(b *storage.Backend) {
		b.Accounts = accountsStore{Store: b.Accounts, wrap: func(tx accounts.Tx) accounts.Tx {
			return accountsTx{Tx: tx, insert: func(ctx context.Context, users []accounts.User) ([]accounts.User, error) {
				users = slices.Clone(users)
				for i := range users {
					users[i].Bio, _, _ = strings.Cut(users[i].Bio, "\x00")
				}
				return tx.InsertUsers(ctx, users)
			}}
		}}
	}, "accounts/NUL bytes and invalid UTF-8 are refused with ErrInvalid"},
	"key given to another request": {func(b *storage.Backend) {
		b.Accounts = accountsStore{Store: b.Accounts, wrap: func(tx accounts.Tx) accounts.Tx {
			return accountsTx{Tx: tx, claim: func(ctx context.Context, key core.IdempotencyKey) ([]byte, bool, error) {
				key.Request = [32]byte{}
				return tx.Claim(ctx, key)
			}}
		}}
	}, "accounts/a key claimed by the same request gives its answer, and by another is ErrKeyReused"},
	"key given twice in one transaction": {func(b *storage.Backend) {
		b.Accounts = accountsStore{Store: b.Accounts, wrap: func(tx accounts.Tx) accounts.Tx {
			return accountsTx{Tx: tx, claim: func(ctx context.Context, key core.IdempotencyKey) ([]byte, bool, error) {
				answer, done, err := tx.Claim(ctx, key)
				if errors.Is(err, core.ErrKeyInUse) {
					return nil, false, nil
				}
				return answer, done, err
			}}
		}}
	}, "accounts/a key claimed again before its answer is ErrKeyInUse, and Once runs once"},
	"search for any of the terms": {func(b *storage.Backend) {
		inner := b.Courses
		b.Courses = coursesStore{Store: inner, list: func(ctx context.Context, q courses.ListQuery) ([]courses.Hit, error) {
			q.Terms = q.Terms[:min(1, len(q.Terms))]
			return inner.ListCourses(ctx, q)
		}}
	}, "courses/forms of a word find each other"},
	"getter that takes no lock": {func(b *storage.Backend) {
		inner := b.Courses
		b.Courses = coursesStore{Store: inner, update: func(ctx context.Context, fn func(ctx context.Context, tx courses.Tx) error) error {
			before, err := inner.CourseBySlug(ctx, "one")
			return inner.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
				if err != nil {
					return fn(ctx, tx)
				}
				return fn(ctx, stale{tx, before})
			})
		}}
	}, "courses/writers that take CourseForUpdate take turns, and each sees what the one before has committed"},
	"rename that forgets the old slug": {func(b *storage.Backend) {
		b.Courses = coursesStore{Store: b.Courses, wrap: func(tx courses.Tx) courses.Tx { return forgetful{tx} }}
	}, "courses/a rename keeps the old slug for its course, which may take it back"},
	"coupon used beyond its limit": {func(b *storage.Backend) {
		b.Courses = coursesStore{Store: b.Courses, wrap: func(tx courses.Tx) courses.Tx { return generous{tx} }}
	}, "courses/of those who use a coupon at once no more succeed than its limit and the user's allow"},
	"promotion of the last one first": {func(b *storage.Backend) {
		b.Courses = coursesStore{Store: b.Courses, wrap: func(tx courses.Tx) courses.Tx { return unfair{tx} }}
	}, "courses/Promote gives a seat to those who have waited longest, and returns them in that order"},
	"secrets of one's own": {func(b *storage.Backend) {
		b.Keys = secrets{b.Keys}
	}, "keys/of concurrent callers one wins and all get its secret"},
	"revoked session whose token lives": {func(b *storage.Backend) {
		b.Accounts = accountsStore{Store: b.Accounts, wrap: func(tx accounts.Tx) accounts.Tx {
			return accountsTx{Tx: tx, revoke: func(context.Context, uuid.UUID, time.Time) error { return nil }}
		}}
	}, "accounts/RevokeSession leaves no unused token, and what is unknown or revoked alone"},
	"update over a newer version": {func(b *storage.Backend) {
		b.Accounts = accountsStore{Store: b.Accounts, wrap: func(tx accounts.Tx) accounts.Tx {
			return accountsTx{Tx: tx, update: func(ctx context.Context, users ...accounts.User) error {
				stored, err := tx.UsersForUpdate(ctx, users[0].Username)
				if err == nil && len(stored) > 0 {
					users[0].Version = stored[0].Version
				}
				return tx.UpdateUsers(ctx, users...)
			}}
		}}
	}, "accounts/UpdateUsers of a version that is not the stored one is ErrVersion, changes nothing and leaves the Tx usable"},
	"Done that does nothing": {func(b *storage.Backend) {
		b.Accounts = undone{b.Accounts}
	}, "accounts/Done takes events away and ignores unknown and done ids"},
}

type undone struct{ accounts.Store }

func (undone) Done(context.Context, ...uuid.UUID) error { return nil }

// unfair is a Tx that returns those whom it promotes the wrong way round.
type unfair struct{ courses.Tx }

func (tx unfair) Promote(ctx context.Context, course courses.CourseID, n int, paid bool, at time.Time) ([]courses.Enrollment, error) {
	promoted, err := tx.Tx.Promote(ctx, course, n, paid, at)
	slices.Reverse(promoted)
	return promoted, err
}
