package courses

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// move is a step of the status machine.
type move struct {
	from, to Status
	want     right
	event    string
}

// The status machine: draft → review → published → archived, review → draft,
// archived → draft. Any other move is ErrTransition.
var (
	submit  = move{Draft, InReview, toEdit, EventSubmitted}
	publish = move{InReview, Published, toReview, EventPublished}
	reject  = move{InReview, Draft, toReview, EventRejected}
	archive = move{Published, Archived, toEdit, EventArchived}
	restore = move{Archived, Draft, toEdit, EventRestored}
)

// Submit hands a draft in for review and clears its Rejection. It needs a title, a
// category, a price (which may be 0, of a currency), a module with a lesson, and a
// teacher who may teach: what is missing is named by the violations of ErrIncomplete.
func (s *Service) Submit(ctx context.Context, by core.Actor, slug string, ifVersion int64) (Course, error) {
	return s.move(core.WithOperation(ctx, "courses.Submit"), by, slug, ifVersion, submit, "")
}

// Publish publishes a course that is in review. Only an admin may. It needs what
// Submit needs. PublishedAt is that of the first time.
func (s *Service) Publish(ctx context.Context, by core.Actor, slug string, ifVersion int64) (Course, error) {
	return s.move(core.WithOperation(ctx, "courses.Publish"), by, slug, ifVersion, publish, "")
}

// MaxReason bounds the reason of a rejection, in characters.
const MaxReason = 2000

// Reject sends a course that is in review back to draft, with a reason of 1 to
// MaxReason characters, not all of them white space, that is kept as its Rejection.
// Only an admin may.
func (s *Service) Reject(ctx context.Context, by core.Actor, slug, reason string, ifVersion int64) (Course, error) {
	return s.move(core.WithOperation(ctx, "courses.Reject"), by, slug, ifVersion, reject, reason)
}

// Archive takes a published course out of the catalogue.
func (s *Service) Archive(ctx context.Context, by core.Actor, slug string, ifVersion int64) (Course, error) {
	return s.move(core.WithOperation(ctx, "courses.Archive"), by, slug, ifVersion, archive, "")
}

// Restore makes an archived course a draft again.
func (s *Service) Restore(ctx context.Context, by core.Actor, slug string, ifVersion int64) (Course, error) {
	return s.move(core.WithOperation(ctx, "courses.Restore"), by, slug, ifVersion, restore, "")
}

func (s *Service) move(ctx context.Context, by core.Actor, slug string, ifVersion int64, m move, reason string) (Course, error) {
	c, may, err := s.visibleCourse(ctx, by, slug)
	if err != nil {
		return Course{}, err
	}
	if err := may.may(by, &c, m.want); err != nil {
		return Course{}, err
	}
	if err := m.checkReason(reason); err != nil {
		return Course{}, err
	}
	missing := new(checks)
	if m.to == InReview || m.to == Published {
		if err := s.checkTeacher(ctx, &c, missing); err != nil {
			return Course{}, err
		}
	}
	locks := courseAlone
	if m.from == Published || m.to == Published {
		locks = treeFirst
	}
	return s.change(ctx, by, may, m.want, locks, slug, ifVersion, func(ctx context.Context, tx Tx, c *Course, t trail) error {
		if c.Status != m.from {
			return ErrTransition.Withf("the course is %q: only one that is %q can become %q", c.Status, m.from, m.to)
		}
		if m.to == InReview || m.to == Published {
			if err := ready(ctx, tx, c, missing.bad); err != nil {
				return err
			}
		}
		c.Status, c.Rejection = m.to, reason
		if m.to == Published && c.PublishedAt.IsZero() {
			c.PublishedAt = t.at
		}
		if m.to == Published {
			if err := s.fill(ctx, tx, t, c.Slug, c); err != nil { // who waited while it was not
				return err
			}
		}
		if err := t.update(ctx, tx, c, m.event, Changed{Reason: reason}, m.want == toReview); err != nil {
			return err
		}
		if err := fault.Hit("courses.move.after_update"); err != nil {
			return err
		}
		if locks == treeFirst {
			if err := tx.RecountCategories(ctx); err != nil {
				return err
			}
		}
		return fault.Hit("courses.move.after_recount")
	})
}

func (m move) checkReason(reason string) error {
	switch {
	case m.event != EventRejected:
		return nil
	case strings.TrimSpace(reason) == "":
		return core.Invalid("reason", "required", "", "", "say why")
	case utf8.RuneCountInString(reason) > MaxReason:
		return core.Invalid("reason", "max", "2000", reason, "the reason is too long")
	case !core.ValidText(reason):
		return core.Invalid("reason", "text", "", reason, "valid UTF-8 without NUL is expected")
	}
	return nil
}

// checkTeacher adds to missing that a course has no teacher who may teach.
func (s *Service) checkTeacher(ctx context.Context, c *Course, missing *checks) error {
	found, err := s.users.UsersByID(ctx, []core.UserID{c.Teacher.ID})
	if err != nil {
		return err
	}
	if len(found) == 0 || !mayTeach(found[0]) {
		missing.add("teacher", "role", string(core.Teacher), "", "its teacher may not teach")
	}
	return nil
}

// ready returns nil when a course may be read by others, or ErrIncomplete with all
// that it lacks beside what is missing already. Its teacher stays one who may teach.
func ready(ctx context.Context, tx Tx, c *Course, missing []core.Violation) error {
	content, err := tx.CountContent(ctx, c.ID)
	if err != nil {
		return err
	}
	lacks := checks{bad: slices.Clone(missing)}
	if len(missing) == 0 {
		if err := keepTeacher(ctx, tx, c.Teacher.ID); err != nil {
			lacks.addAll(err)
		}
	}
	if lacks.fault != nil {
		return lacks.fault
	}
	return complete(c, content, lacks.bad...)
}

// complete returns nil, or ErrIncomplete with all that a course lacks to be read by
// others.
func complete(c *Course, content ContentCount, more ...core.Violation) error {
	missing := checks{bad: slices.Clone(more)}
	need := func(there bool, field, message string) {
		if !there {
			missing.add(field, "required", "", "", message)
		}
	}
	need(c.Title != "", "title", "it needs a title")
	need(c.Category.ID != 0, "category", "it needs a category")
	need(c.Price.Currency != "", "price", "it needs a price; a free course has one of 0")
	need(content.Filled > 0, "modules", "it needs a module with a lesson")
	if len(missing.bad) == 0 {
		return nil
	}
	return ErrIncomplete.With(missing.bad...)
}
