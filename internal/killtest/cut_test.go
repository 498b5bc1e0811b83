package killtest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/internal/wirecut"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/ustattest"
)

// cutting is a world whose PostgreSQL is also reached by a pool of one connection
// through a proxy that cuts it.
type cutting struct {
	*world
	proxy   *wirecut.Proxy
	through *ustattest.Platform
	learns  core.Actor

	unknown, refused, answered int // calls that were cut, by their answer
}

// step is one call of those that are cut.
type step struct {
	event string // that it leaves
	of    string // the query, without the type, that counts the event
	do    func(ctx context.Context, c *cutting, p *ustattest.Platform, slug string) error
	again error // what it is, when it has been done already
}

var steps = []step{
	{courses.EventCreated, ofCourse, func(ctx context.Context, _ *cutting, p *ustattest.Platform, slug string) error {
		_, err := p.Courses.Create(ctx, accounts.System, courses.NewCourse{
			Title: slug, Slug: slug, Category: "category", Teacher: "anna", Price: &core.Money{Currency: "EUR"}, Key: slug,
		})
		return err
	}, nil},
	{courses.EventSubmitted, ofCourse, func(ctx context.Context, _ *cutting, p *ustattest.Platform, slug string) error {
		_, err := p.Courses.Submit(ctx, accounts.System, slug, 0)
		return err
	}, courses.ErrTransition},
	{courses.EventPublished, ofCourse, func(ctx context.Context, _ *cutting, p *ustattest.Platform, slug string) error {
		_, err := p.Courses.Publish(ctx, accounts.System, slug, 0)
		return err
	}, courses.ErrTransition},
	{courses.EventEnrolled, ofEnrollments, func(ctx context.Context, c *cutting, p *ustattest.Platform, slug string) error {
		_, err := p.Courses.Enroll(ctx, c.learns, slug, "")
		return err
	}, nil},
	{courses.EventCompleted, ofEnrollments, func(ctx context.Context, c *cutting, p *ustattest.Platform, slug string) error {
		enrolled, err := c.Courses.Enrollments(ctx, c.learns, courses.EnrollmentFilter{Course: slug}, core.Page{}) // past the proxy
		if err != nil {
			return err
		}
		lessons, err := c.Courses.Lessons(ctx, c.learns, slug, 0, core.Page{})
		if err != nil {
			return err
		}
		_, err = p.Courses.CompleteLesson(ctx, c.learns, enrolled.Items[0].ID, lessons.Items[0].ID)
		return err
	}, nil},
	{reviews.EventCreated, ofReviewEvents, func(ctx context.Context, c *cutting, p *ustattest.Platform, slug string) error {
		_, err := p.Reviews.Create(ctx, c.learns, slug, reviews.New{Rating: 4, Text: "Good", Key: slug})
		return err
	}, nil},
	{reviews.EventEdited, ofReviewEvents, func(ctx context.Context, c *cutting, p *ustattest.Platform, slug string) error {
		r, err := c.reviewOf(ctx, slug)
		if err != nil {
			return err
		}
		rating := 1
		_, err = p.Reviews.Edit(ctx, c.learns, r, reviews.Change{Rating: &rating})
		return err
	}, nil},
	{reviews.EventModerated, ofReviewEvents, func(ctx context.Context, c *cutting, p *ustattest.Platform, slug string) error {
		r, err := c.reviewOf(ctx, slug)
		if err != nil {
			return err
		}
		_, err = p.Reviews.Moderate(ctx, accounts.System, r, reviews.Decision{Action: reviews.Hide, Reason: "rude"})
		return err
	}, reviews.ErrTransition},
}

// reviewOf returns the review of the learner on a course, past the proxy.
func (c *cutting) reviewOf(ctx context.Context, slug string) (reviews.ReviewID, error) {
	e, err := c.Reviews.Eligibility(ctx, c.learns, slug)
	return e.Review, err
}

// TestACutAfterEveryMessage creates, submits and publishes courses, enrolls in them,
// completes and reviews them, changes the review and hides it, over a connection that is
// cut after the first message of a side, the second, the third, … Without USTAT_TEST_SCALE
// it takes those around each COMMIT, and some others.
func TestACutAfterEveryMessage(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	backend, err := postgres.Open(t.Context(), dsn, nil)
	require.NoError(t, err)
	c := &cutting{world: newWorld(t, backend, "postgres", dsn, "pgx", dsn), proxy: wirecut.Start(t, dsn)}
	throughProxy, err := postgres.Open(t.Context(), c.proxy.DSN()+"&pool_max_conns=1", nil)
	require.NoError(t, err)
	c.through = ustattest.New(t, ustattest.WithBackend(throughProxy), ustattest.WithConfig(config))
	c.learns = c.learner(t, "learner")

	for _, s := range steps {
		c.step(t, s, "warm") // so that no statement is prepared for the first time later
	}
	passed := make([][]wirecut.Message, len(steps))
	for i, s := range steps {
		c.proxy.Arm(wirecut.Frontend, 0)
		c.step(t, s, "whole")
		passed[i] = c.proxy.Messages()
	}
	cuts := 0
	for i, s := range steps {
		for _, m := range passed[i] {
			if scale(t) > 1 || nearCommit(passed[i], m) || m.Nth%7 == 1 {
				c.cut(t, s, m)
				cuts++
			}
		}
		c.check(t)
	}
	t.Logf("%d cuts: %d calls had an unknown outcome, %d were refused, %d were answered", cuts, c.unknown, c.refused, c.answered)
	require.GreaterOrEqual(t, c.unknown, 2*len(steps), "the question of each COMMIT is lost, and its answer")
}

// nearCommit reports whether a message is a COMMIT, the one of its side before that,
// or one of the two that answer it.
func nearCommit(passed []wirecut.Message, m wirecut.Message) bool {
	for _, commit := range passed {
		if isCommit(commit) && commit.Side == m.Side && m.Nth >= commit.Nth-1 && m.Nth <= commit.Nth+1 {
			return true
		}
	}
	return false
}

func isCommit(m wirecut.Message) bool { return strings.EqualFold(m.Text, "commit") }

// step does a step that must succeed, with what the course needs for it.
func (c *cutting) step(t *testing.T, s step, slug string) {
	t.Helper()
	require.NoError(t, s.do(t.Context(), c, c.through, slug))
	if s.event == courses.EventCreated {
		c.fill(t, slug)
	}
}

// fill gives a course a lesson, past the proxy.
func (c *cutting) fill(t *testing.T, slug string) {
	t.Helper()
	m, err := c.Courses.CreateModule(t.Context(), accounts.System, slug, courses.NewModule{Title: "Module"})
	require.NoError(t, err)
	_, err = c.Courses.CreateLesson(t.Context(), accounts.System, slug, m.ID, courses.NewLesson{Title: "Lesson", Kind: courses.Text})
	require.NoError(t, err)
}

// cut does one step of a course of its own over a connection that is cut after a
// message, looks at what is stored, and does the step again.
func (c *cutting) cut(t *testing.T, s step, after wirecut.Message) {
	t.Helper()
	ctx := t.Context()
	slug := c.beforeStep(t, s)
	require.NoError(t, c.through.Ready(ctx)) // there is a connection
	before := c.state(t)
	c.proxy.Arm(after.Side, after.Nth)
	err := s.do(ctx, c, c.through, slug)
	require.True(t, c.proxy.Cut(), "%s has no message %v", s.event, after)
	stored := c.count(t, strings.ReplaceAll(s.of, "%s", slug)+"'"+s.event+"'")
	require.LessOrEqual(t, stored, 1)
	if stored == 0 {
		require.Equal(t, before, c.state(t), "half of %s is stored after a cut at %v", s.event, after)
	}

	sent, known := c.committed()
	switch {
	case err == nil:
		c.answered++
		require.Equal(t, 1, stored, "%s was answered and is not stored after a cut at %v", s.event, after)
	case errors.Is(err, core.ErrOutcomeUnknown):
		c.unknown++
	default:
		c.refused++
		require.ErrorIs(t, err, core.ErrUnavailable, "%v", after)
		require.Zero(t, stored, "%s was refused and is stored after a cut at %v: %v", s.event, after, err)
	}
	if sent && !known {
		require.ErrorIs(t, err, core.ErrOutcomeUnknown, "the answer of a COMMIT was lost at %v", after)
		require.Equal(t, 1, stored, "the server had the COMMIT before the cut at %v", after)
	}

	err = s.do(ctx, c, c.through, slug) // at once: the pool has healed
	if stored == 1 {
		require.ErrorIs(t, err, s.again)
	} else {
		require.NoError(t, err)
	}
	require.Equal(t, 1, c.count(t, strings.ReplaceAll(s.of, "%s", slug)+"'"+s.event+"'"))
}

// beforeStep makes a course, past the proxy, to which a step can be done.
func (c *cutting) beforeStep(t *testing.T, s step) (slug string) {
	t.Helper()
	slug = "cut-" + strings.ToLower(rand.Text())
	for i, earlier := range steps {
		if earlier.event == s.event {
			break
		}
		require.NoError(t, earlier.do(t.Context(), c, c.Platform, slug))
		if i == 0 {
			c.fill(t, slug)
		}
	}
	return slug
}

// committed reports whether a COMMIT has been sent since the proxy was armed, and
// whether its answer, which ends with ready-for-query, has passed.
func (c *cutting) committed() (sent, known bool) {
	done := false
	for _, m := range c.proxy.Messages() {
		switch {
		case isCommit(m) && m.Side == wirecut.Frontend:
			sent = true
		case isCommit(m):
			done = true
		case done && m.Side == wirecut.Backend && m.Type == 'Z':
			return true, true
		}
	}
	return sent, false
}
