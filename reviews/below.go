package reviews

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// SetReply writes the answer of a course's side to a published review, in the place of
// the one that is there. Who may edit the course may: its teacher, their producers,
// admins. The text has 1 to MaxText characters; what the Moderator would hold is
// ErrRefused.
func (s *Service) SetReply(ctx context.Context, by core.Actor, id ReviewID, in NewText) (Review, error) {
	ctx = core.WithOperation(ctx, "reviews.SetReply")
	in.Text = trimmed(in.Text)
	return s.reply(ctx, by, id, in.Text, s.checkText(in, MaxText))
}

// DeleteReply takes the answer to a review away. Who may write one may.
func (s *Service) DeleteReply(ctx context.Context, by core.Actor, id ReviewID) (Review, error) {
	return s.reply(core.WithOperation(ctx, "reviews.DeleteReply"), by, id, "", nil)
}

func (s *Service) reply(ctx context.Context, by core.Actor, id ReviewID, text string, refused error) (Review, error) {
	before, course, err := s.visible(ctx, by, id)
	if err != nil {
		return Review{}, err
	}
	if err := s.mayWrite(ctx, by); err != nil {
		return Review{}, err
	}
	if !course.Editable {
		return Review{}, core.ErrForbidden
	}
	if refused != nil {
		return Review{}, refused
	}
	t := s.trail(by)
	if text != "" {
		if err := s.taken(ctx, Draft{Course: before.Course, User: by.UserID, Review: id, Reply: true, Text: text, At: t.at}); err != nil {
			return Review{}, err
		}
	}
	return s.change(ctx, by, before, 0, func(ctx context.Context, tx Tx, _ Stats, was Review) (Review, error) {
		if err := isShown(&was); err != nil {
			return Review{}, err
		}
		now := was
		now.Reply = Reply{}
		if text != "" {
			now.Reply = Reply{Text: text, By: Person{ID: by.UserID}, At: t.at}
		} else if was.Reply.Text == "" {
			return was, nil
		}
		if err := t.update(ctx, tx, &now); err != nil {
			return Review{}, err
		}
		return now, t.changed(ctx, tx, EventReplied, &now, Changed{})
	})
}

// checkText returns nil for a text of at most that many characters.
func (s *Service) checkText(in NewText, most int) error {
	if err := s.c.Validate.Struct(in); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(in.Text); n > most {
		return core.Invalid("text", "max", strconv.Itoa(most), strconv.Itoa(n)+" characters", "the text is too long")
	}
	return nil
}

// taken returns nil for a comment or a reply that the Moderator does not hold: neither
// waits for an admin.
func (s *Service) taken(ctx context.Context, d Draft) error {
	verdict, err := s.c.Moderator.Check(ctx, d)
	if err == nil && verdict.Hold {
		err = ErrRefused.With(core.Violation{Field: "text", Code: verdict.Reason, Message: "the text is not taken as it is"})
	}
	return err
}

// Vote says that the actor finds a published review of somebody else helpful, or no
// longer, and returns how many do. The course's side does not vote: ErrOwnCourse. A vote
// is taken back also from a review that is shown no longer: what is returned is 0 then.
func (s *Service) Vote(ctx context.Context, by core.Actor, id ReviewID, helpful bool) (votes int, err error) {
	ctx = core.WithOperation(ctx, "reviews.Vote")
	if helpful {
		_, err = s.judges(ctx, by, id)
	} else {
		err = s.hasVoted(ctx, by, id)
	}
	if err != nil {
		return 0, err
	}
	if err := s.mayWrite(ctx, by); err != nil {
		return 0, err
	}
	at := s.c.Clock.Now()
	err = s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
		r, err := tx.ReviewForUpdate(ctx, id)
		if err == nil && helpful {
			err = isShown(&r)
		}
		if err != nil {
			return err
		}
		changed, err := tx.SetVote(ctx, id, by.UserID, helpful, at)
		switch {
		case err != nil:
			return err
		case changed && helpful:
			r.Helpful++
		case changed:
			r.Helpful--
		}
		if votes = r.Helpful; r.Status != Published {
			votes = 0
		}
		return fault.Hit("reviews.vote.after_vote")
	})
	return votes, err
}

// judges returns a review for who may find it helpful or report it: it is published, not
// theirs, and not of a course of theirs.
func (s *Service) judges(ctx context.Context, by core.Actor, id ReviewID) (Review, error) {
	r, course, err := s.shown(ctx, by, id)
	switch {
	case err != nil:
		return Review{}, err
	case isAuthor(by, &r):
		return Review{}, ErrOwnReview
	case teaches(by, course) || linked(by, course):
		return Review{}, ErrOwnCourse
	}
	return r, nil
}

// hasVoted returns nil for who may take a vote back: they see the review, or have voted
// when they did.
func (s *Service) hasVoted(ctx context.Context, by core.Actor, id ReviewID) error {
	r, _, err := s.visible(ctx, by, id)
	switch {
	case err == nil && isAuthor(by, &r):
		return ErrOwnReview
	case err == nil:
		return signedIn(by)
	case by.IsAnonymous() || !errors.Is(err, ErrReviewNotFound):
		return err
	}
	voted, failed := s.c.Store.Voted(ctx, by.UserID, []ReviewID{id})
	if failed == nil && len(voted) > 0 {
		return nil
	}
	return cmp.Or(failed, err)
}

// Comment adds a comment of the actor below a published review. The text has 1 to
// MaxComment characters; what the Moderator would hold is ErrRefused. With a Key, the same
// text again gives the comment that the first call made.
func (s *Service) Comment(ctx context.Context, by core.Actor, id ReviewID, in NewText) (Comment, error) {
	ctx = core.WithOperation(ctx, "reviews.Comment")
	before, _, err := s.shown(ctx, by, id)
	if err != nil {
		return Comment{}, err
	}
	if err := s.mayWrite(ctx, by); err != nil {
		return Comment{}, err
	}
	t := s.trail(by)
	in.Text = trimmed(in.Text)
	if err := s.checkText(in, MaxComment); err != nil {
		return Comment{}, err
	}
	if err := s.taken(ctx, Draft{Course: before.Course, User: by.UserID, Review: id, Comment: true, Text: in.Text, At: t.at}); err != nil {
		return Comment{}, err
	}
	key := s.key(by, keyComment, int64(id), in.Key, in, t.at)
	var made Comment
	err = s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		made, err = core.Once(ctx, tx, key, func() (Comment, error) {
			r, err := tx.ReviewForUpdate(ctx, id)
			if err == nil {
				err = isShown(&r)
			}
			if err != nil {
				return Comment{}, err
			}
			c, err := tx.InsertComment(ctx, Comment{Review: id, User: by.UserID, Text: in.Text, CreatedAt: t.at})
			if err == nil {
				err = fault.Hit("reviews.comment.after_insert")
			}
			if err != nil {
				return Comment{}, err
			}
			return c, t.changed(ctx, tx, EventCommented, &r, Changed{Comment: c.ID})
		})
		return err
	})
	if err != nil {
		return Comment{}, err
	}
	made.Author.ID = made.User
	if err := s.name(context.WithoutCancel(ctx), []*Person{&made.Author}); err != nil {
		return Comment{}, core.ErrOutcomeUnknown.Because(err)
	}
	return made, nil
}

// Comments returns a page of the comments on a review that the actor sees, the first
// first. Four statements, one more for a producer.
func (s *Service) Comments(ctx context.Context, by core.Actor, id ReviewID, page core.Page) (Page[Comment], error) {
	ctx = core.WithOperation(ctx, "reviews.Comments")
	if _, _, err := s.visible(ctx, by, id); err != nil {
		return Page[Comment]{}, err
	}
	found, err := core.ReadPage(s.c.Cursors, "reviews.comments/"+strconv.FormatInt(int64(id), 10), page, func(after CommentID, limit int) ([]Comment, error) {
		return s.c.Store.Comments(ctx, id, after, limit)
	}, func(c Comment) CommentID { return c.ID })
	if err != nil {
		return Page[Comment]{}, err
	}
	people := make([]*Person, len(found.Items))
	for i := range found.Items {
		found.Items[i].Author.ID = found.Items[i].User
		people[i] = &found.Items[i].Author
	}
	return found, s.name(ctx, people)
}

// DeleteComment removes a comment of the actor, also from a review that they see no
// longer, or as an admin any.
func (s *Service) DeleteComment(ctx context.Context, by core.Actor, id ReviewID, comment CommentID) error {
	ctx = core.WithOperation(ctx, "reviews.DeleteComment")
	r, _, unseen := s.visible(ctx, by, id)
	if unseen != nil && !errors.Is(unseen, ErrReviewNotFound) {
		return unseen
	}
	c, err := s.c.Store.CommentByID(ctx, comment)
	if err == nil && c.Review != id {
		err = ErrCommentNotFound
	}
	own := err == nil && !by.IsAnonymous() && c.User == by.UserID
	switch {
	case unseen != nil && !own:
		return unseen
	case err != nil:
		return err
	case by.IsAnonymous():
		return core.ErrUnauthenticated
	case !own && !by.IsAdmin():
		return core.ErrForbidden
	}
	t := s.trail(by)
	return s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.ReviewForUpdate(ctx, id); err != nil {
			return err
		}
		if err := tx.DeleteComment(ctx, id, comment); err != nil {
			return err
		}
		if own {
			return nil
		}
		return t.audit(ctx, tx, "reviews.comment_deleted", &r, Changed{Comment: comment})
	})
}
