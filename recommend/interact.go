package recommend

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/fault"
)

// interactions is the space of the ids that are made of keys and enrollments.
var interactions = uuid.MustParse("6f1f7a0e-5a0b-4f0f-9e1c-6f3b1c0d7a42")

// NewInteraction is what Interact takes.
type NewInteraction struct {
	Course string // slug
	Kind   Kind   // View or Bookmark: the platform knows of the others by itself
	// Key is the caller's name of this interaction: the same Key of the same actor counts once,
	// for ever. Empty makes each call its own.
	Key string
}

// Receipt is what Interact returns.
type Receipt struct {
	ID uuid.UUID // the same for the same Key
	// Counted is whether the interaction is new: of a course one View a day (in UTC) is, and one Bookmark.
	Counted bool
}

// Interact records what the actor did with a course that they see, and grows the weight of
// its category in the same transaction. The next request of the actor reflects it. It fails with
// core.ErrInvalid for another kind, with core.ErrKeyReused for a Key of another
// interaction, and with ErrTooMany.
func (s *Service) Interact(ctx context.Context, by core.Actor, in NewInteraction) (Receipt, error) {
	ctx = core.WithOperation(ctx, "recommend.Interact")
	if err := s.mayWrite(ctx, by); err != nil {
		return Receipt{}, err
	}
	if in.Kind != View && in.Kind != Bookmark {
		return Receipt{}, core.Invalid("type", "oneof", "view, bookmark", in.Kind.String(), "only views and bookmarks are reported")
	}
	if len(in.Key) > 255 {
		return Receipt{}, core.Invalid("Idempotency-Key", "max", "255", in.Key, "the key is longer than 255 bytes")
	}
	ref, err := s.c.Courses.Ref(ctx, by, in.Course)
	if err != nil {
		return Receipt{}, err
	}
	r := Record{
		ID:          uuid.Must(uuid.NewV7()),
		Interaction: Interaction{User: by.UserID, Course: ref.ID, Kind: in.Kind, At: core.Time(s.c.Clock.Now())},
		Category:    ref.Category, Variant: s.Variant(by.UserID),
	}
	if in.Key != "" {
		r.ID = uuid.NewSHA1(interactions, []byte("key/"+in.Key))
	}
	counted, err := s.record(ctx, r)
	if err == nil && !counted && in.Key != "" {
		err = s.sameRequest(ctx, r)
	}
	return Receipt{r.ID, counted}, err
}

// sameRequest refuses the id of another interaction.
func (s *Service) sameRequest(ctx context.Context, r Record) error {
	was, err := s.c.Store.RecordByID(ctx, r.User, r.ID)
	switch {
	case errors.Is(err, ErrRecordNotFound):
		return nil // it counted already without that id
	case err == nil && (was.Course != r.Course || was.Kind != r.Kind):
		return core.ErrKeyReused
	}
	return err
}

// mayWrite refuses who is nobody and who writes too much.
func (s *Service) mayWrite(ctx context.Context, by core.Actor) error {
	if err := signedIn(by); err != nil {
		return err
	}
	if s.c.Store == nil {
		return ErrNotSetUp
	}
	wait, err := s.c.Limiter.Take(ctx, core.Limit{Key: "recommend/" + strconv.FormatInt(int64(by.UserID), 10), Count: s.c.PerHour, Per: time.Hour})
	if err == nil && wait > 0 {
		err = ErrTooMany.After(wait)
	}
	return err
}

// record keeps interactions of which some may count already, and tells the models of the
// others. It reports whether any is new.
func (s *Service) record(ctx context.Context, list ...Record) (bool, error) {
	var counted []Record
	err := s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		counted, err = AddRecords(ctx, tx, list)
		return err
	})
	if err != nil {
		return false, err
	}
	for _, r := range counted {
		s.observe(r.Interaction)
	}
	return len(counted) > 0, nil
}

// AddRecords adds those of the records that do not count already, with their growth of
// weights, and returns them.
func AddRecords(ctx context.Context, tx Tx, list []Record) ([]Record, error) {
	added, err := tx.AddRecords(ctx, list)
	if err != nil || len(added) == 0 {
		return nil, err
	}
	if err := fault.Hit("recommend.add.after_records"); err != nil {
		return nil, err
	}
	var counted []Record
	for _, r := range list {
		if at := slices.Index(added, r.ID); at >= 0 {
			counted, added = append(counted, r), slices.Delete(added, at, at+1)
		}
	}
	return counted, tx.Grow(ctx, summed(counted, false))
}

// told are the models that are told of a change: none of one that is in the transaction of
// a host, who may take it back.
func (s *Service) told() []*arm {
	if s.joined {
		return nil
	}
	return s.arms
}

// observe tells every model of an interaction. One that a model refuses is one too many of
// its learner's: the next training counts the latest.
func (s *Service) observe(i Interaction) {
	for _, a := range s.told() {
		_, _ = a.live.Observe(i)
	}
}

// Dismiss keeps a course that the actor sees from being recommended to them. Doing it twice
// is doing it once. More than MaxDismissed are ErrTooManyDismissed.
func (s *Service) Dismiss(ctx context.Context, by core.Actor, slug string) error {
	return s.dismiss(core.WithOperation(ctx, "recommend.Dismiss"), by, slug, true)
}

// Undismiss takes a dismissal back. Where there is none it does nothing.
func (s *Service) Undismiss(ctx context.Context, by core.Actor, slug string) error {
	return s.dismiss(core.WithOperation(ctx, "recommend.Undismiss"), by, slug, false)
}

func (s *Service) dismiss(ctx context.Context, by core.Actor, slug string, on bool) error {
	if err := s.mayWrite(ctx, by); err != nil {
		return err
	}
	ref, err := s.c.Courses.Ref(ctx, by, slug)
	if err != nil {
		return err
	}
	d := Dismissal{User: by.UserID, Course: ref.ID, At: core.Time(s.c.Clock.Now())}
	return s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
		changed, err := tx.SetDismissed(ctx, d, on)
		if err != nil || !changed || !on {
			return err
		}
		n, err := tx.CountDismissed(ctx, by.UserID)
		if err == nil && n > MaxDismissed {
			err = ErrTooManyDismissed
		}
		return err
	})
}

// EraseUser removes all that was recorded of a user, and their trace from the models: what
// they did before is not learned from again, enrollments included. Only an admin may, and
// the user. It is many short transactions: interrupted, it is called again.
func (s *Service) EraseUser(ctx context.Context, by core.Actor, user core.UserID) error {
	ctx = core.WithOperation(ctx, "recommend.EraseUser")
	switch {
	case by.IsAnonymous():
		return core.ErrUnauthenticated
	case !by.IsAdmin() && by.UserID != user:
		return core.ErrForbidden
	case s.c.Store == nil:
		return ErrNotSetUp
	}
	const batch = 500
	now := core.Time(s.c.Clock.Now())
	for left := true; left; {
		err := s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
			n, err := tx.ForgetUser(ctx, user, batch)
			left = n > 0
			if err != nil || left {
				return err
			}
			if err := tx.AddRemoval(ctx, Removal{User: user, At: now}); err != nil {
				return err
			}
			return tx.Audit(ctx, core.AuditEntry{Actor: by.UserID, Action: "recommend.user_erased", Subject: "user/" + strconv.FormatInt(int64(user), 10), At: now})
		})
		if err != nil {
			return err
		}
	}
	for _, a := range s.told() {
		a.live.Forget(user)
	}
	return nil
}

// ForgetCourse removes what was recorded of a course that is deleted, and the course from the
// models.
func (s *Service) ForgetCourse(ctx context.Context, id courses.CourseID) error {
	ctx = core.WithOperation(ctx, "recommend.ForgetCourse")
	for _, a := range s.told() {
		a.live.Remove(id)
	}
	const batch = 500
	for left := s.c.Store != nil; left; {
		err := s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
			n, err := tx.ForgetCourse(ctx, id, batch)
			left = n > 0
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
