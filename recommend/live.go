package recommend

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// MaxPendingChanges is how many changes Live keeps for a model that is being trained.
const MaxPendingChanges = 1 << 20

// Live is the model that serves, and how it is replaced. Readers take Model, without a
// lock; changes go to the model that serves and, while another is trained or loaded, to
// that one too before it is swapped in. The zero Live has no model. It is safe for
// concurrent use.
type Live struct {
	current atomic.Pointer[Model]

	mu       sync.Mutex // held to apply and log a change, and to swap
	training bool
	pending  []change // since the training began
	dropped  bool     // pending was full
}

// change is one call of an Updater.
type change func(Updater) (bool, error)

// Model returns the model that serves, and nil before the first one.
func (l *Live) Model() Model {
	if m := l.current.Load(); m != nil {
		return *m
	}
	return nil
}

// Set swaps a model in, as it is: for a platform's start.
func (l *Live) Set(m Model) { l.current.Store(&m) }

// Train trains a model by the strategy while the present one serves, tells it what has changed
// meanwhile, and swaps it in. On any error the present model stays: ctx's, the source's, ErrTraining and
// ErrTooManyChanges.
func (l *Live) Train(ctx context.Context, s Strategy, src Source, report func(Progress)) error {
	return l.replace(func() (Model, error) { return s.Train(ctx, src, report) })
}

// Load reads a kept model and swaps it in; changes that come while it is read are told to it too. On
// any error the present model stays: ErrForeignModel, ErrBrokenModel, ErrTraining and
// ErrTooManyChanges.
func (l *Live) Load(s Loader, r io.Reader) error {
	return l.replace(func() (Model, error) { return s.Load(r) })
}

func (l *Live) replace(build func() (Model, error)) error {
	l.mu.Lock()
	if l.training {
		l.mu.Unlock()
		return ErrTraining
	}
	l.training = true
	l.mu.Unlock()
	next, err := func() (Model, error) {
		defer func() {
			// A panic in build must not leave the log growing for ever.
			if r := recover(); r != nil {
				l.end()
				panic(r)
			}
		}()
		return build()
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.endLocked()
	if err != nil {
		return err
	}
	if l.dropped {
		return ErrTooManyChanges
	}
	if u, ok := next.(Updater); ok {
		for _, c := range l.pending {
			if _, err := c(u); err != nil && core.KindOf(err) != core.KindInvalid {
				return err
			}
		}
	}
	l.current.Store(&next)
	return nil
}

func (l *Live) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked()
}

func (l *Live) endLocked() { l.training, l.pending, l.dropped = false, nil, false }

// apply tells a change to the model that serves, and keeps it for the one in training.
func (l *Live) apply(c change) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.training {
		if len(l.pending) < MaxPendingChanges {
			l.pending = append(l.pending, c)
		} else {
			l.dropped = true
		}
	}
	if u, ok := l.Model().(Updater); ok {
		return c(u)
	}
	return false, nil
}

// Observe is Updater.Observe of the model that serves; a model that is no Updater ignores it, as
// it does all changes.
func (l *Live) Observe(i Interaction) (bool, error) {
	return l.apply(func(u Updater) (bool, error) { return u.Observe(i) })
}

// Withdraw is Updater.Withdraw of the model that serves.
func (l *Live) Withdraw(user core.UserID, course courses.CourseID) bool {
	changed, _ := l.apply(func(u Updater) (bool, error) { return u.Withdraw(user, course), nil })
	return changed
}

// Forget is Updater.Forget of the model that serves.
func (l *Live) Forget(user core.UserID) bool {
	changed, _ := l.apply(func(u Updater) (bool, error) { return u.Forget(user), nil })
	return changed
}

// Put is Updater.Put of the model that serves.
func (l *Live) Put(item Item) error {
	_, err := l.apply(func(u Updater) (bool, error) { return true, u.Put(item) })
	return err
}

// Remove is Updater.Remove of the model that serves.
func (l *Live) Remove(course courses.CourseID) {
	_, _ = l.apply(func(u Updater) (bool, error) { u.Remove(course); return true, nil })
}
