package courses_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/fake"
)

const capacity = 10

// TestNeverMoreThanTheCapacity sends callers at courses of ten seats, round after
// round: they come, pay, give up, are thrown out, refunded and given seats, many at once,
// and callers go away in the middle. Every fifth round is of a course with a price. The
// seats are counted after each round, and the events of all of it are played over a list
// in memory, which says who must be let in next.
func TestNeverMoreThanTheCapacity(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		r := random(t)
		w.shelf(t)
		w.clock.step = time.Millisecond // so that callbacks do not grow old on their way
		callers, buyers, rounds := 60, 30, 6
		if scale() > 1 {
			callers, buyers, rounds = 1000, 100, 50*scale()
		}
		people := w.students(t, callers)
		free, paid := w.crowd(t, r, w.free(t, "Ten seats"), people), w.crowd(t, r, w.paid(t, "Ten seats to buy"), people[:buyers])
		w.told(t)
		for round := range rounds {
			if round%5 == 4 {
				paid.buy(t)
			} else {
				free.come(t)
			}
			events := w.told(t)
			for _, c := range []*crowd{free, paid} {
				c.list.play(t, c.course.ID, events)
				c.look(t)
			}
			require.NoError(t, w.backend.Verify(t.Context()))
			if round%50 == 49 {
				t.Logf("%d rounds at %s", round+1, time.Now().Format(time.TimeOnly))
			}
		}
		for looked := 1; looked > 0; {
			w.clock.add(25 * time.Hour)
			var err error
			looked, err = w.SettleOrders(t.Context())
			require.NoError(t, err)
		}
		w.balanced(t)
		t.Logf("%d callers and %d buyers, %d rounds: %d and %d effects, %d and %d were let in from the waiting list, %d payments, %d refunds", callers, buyers, rounds,
			free.list.events, paid.list.events, free.list.promoted, paid.list.promoted, len(w.bank.Ledger()), refunds(w.bank.Ledger()))
		require.NotZero(t, free.list.promoted)
		require.True(t, paid.list.promoted > 0 || rounds < 50, "of many rounds")
		require.NotZero(t, refunds(w.bank.Ledger()))
	})
}

func refunds(ledger []fake.Entry) (n int) {
	for _, e := range ledger {
		n += e.Refunds
	}
	return n
}

// crowd is who comes for the seats of a course.
type crowd struct {
	*world
	db     *sql.DB
	r      *rand.Rand
	course courses.Course
	people []core.Actor
	orders []uuid.UUID // the latest of each
	list   waitingList
}

func (w *world) crowd(t testing.TB, r *rand.Rand, c courses.Course, people []core.Actor) *crowd {
	t.Helper()
	w.capacity(t, c, capacity)
	return &crowd{world: w, db: w.beside(t), r: r, course: c, people: people, orders: make([]uuid.UUID, len(people))}
}

// all has each of the people do something once, in a random order and 40 at once, since
// PostgreSQL has so many connections. What is a number below 10; with 9, the caller goes
// away in the middle, or before, or after.
func (c *crowd) all(t testing.TB, do func(ctx context.Context, i, what int) error) {
	t.Helper()
	order, does := c.r.Perm(len(c.people)), make([]int, len(c.people))
	for i := range does {
		does[i] = c.r.IntN(10)
	}
	at := make(chan struct{}, 40)
	errs := together(len(order), func(i int) error {
		at <- struct{}{}
		defer func() { <-at }()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if does[i] == 9 {
			go cancel()
		}
		return ignore(do(ctx, order[i], does[i]), context.Canceled)
	})
	require.NoError(t, errors.Join(errs...))
}

// name is that of the ith of the people.
func (c *crowd) name(i int) string { return fmt.Sprintf("learner-%d", i) }

// come is a round of a course that costs nothing.
func (c *crowd) come(t testing.TB) {
	t.Helper()
	c.all(t, func(ctx context.Context, i, what int) (err error) {
		switch what {
		case 0, 1:
			_, err = c.Cancel(ctx, c.people[i], c.course.Slug, "")
		case 2:
			_, err = c.Cancel(ctx, c.admin, c.course.Slug, c.name(i))
		case 3:
			_, err = c.Grant(ctx, c.ann, c.course.Slug, c.name(i))
		default:
			_, err = c.Enroll(ctx, c.people[i], c.course.Slug, "")
		}
		return ignore(err, courses.ErrEnrollmentNotFound)
	})
}

// buy is a round of a course with a price. All are refunded, lose what they were given or
// give it up, so that there are seats; then all order, since orders take no seats; and then
// all pay at once, some of whom are refunded, while others give up, come again or are given
// a place.
func (c *crowd) buy(t testing.TB) {
	t.Helper()
	c.clock.add(30 * time.Minute)
	c.all(t, func(ctx context.Context, i, what int) error {
		err := c.leave(ctx, i, what > 0)
		if errors.Is(err, context.Canceled) { // they come again, so that there are seats
			err = c.leave(t.Context(), i, what > 0)
		}
		return err
	})
	c.all(t, func(ctx context.Context, i, _ int) error {
		o, err := c.CreateOrder(ctx, c.people[i], courses.NewOrder{Course: c.course.Slug})
		if err == nil {
			c.orders[i] = o.ID
		}
		return ignore(err, courses.ErrEntitled, courses.ErrEnrolled, courses.ErrFull, courses.ErrTooManyOrders)
	})
	settled := make(chan error, 1)
	go func() {
		_, err := c.SettleOrders(t.Context())
		settled <- err
	}()
	c.all(t, func(ctx context.Context, i, what int) (err error) {
		switch what {
		case 0:
			_, err = c.Cancel(ctx, c.people[i], c.course.Slug, "")
		case 1:
			_, err = c.Grant(ctx, c.ann, c.course.Slug, c.name(i))
		case 2:
			_, err = c.Enroll(ctx, c.people[i], c.course.Slug, "")
		default:
			if err = c.payNow(ctx, c.orders[i]); err == nil && what == 3 {
				_, err = c.RefundOrder(ctx, c.admin, c.orders[i])
			}
		}
		return ignore(err, courses.ErrEnrollmentNotFound, courses.ErrPaymentRequired, courses.ErrPaymentNotFound, courses.ErrOrderState, courses.ErrOrderNotFound)
	})
	require.NoError(t, <-settled)
}

// leave ends what the ith of the people has: by a refund, where they have paid and that is
// asked for, by taking back what was given, or by giving it up.
func (c *crowd) leave(ctx context.Context, i int, refund bool) error {
	if refund && c.orders[i] != uuid.Nil {
		if _, err := c.RefundOrder(ctx, c.admin, c.orders[i]); !errors.Is(err, courses.ErrOrderState) {
			return err
		}
	}
	_, err := c.Revoke(ctx, c.ann, c.course.Slug, c.name(i))
	if errors.Is(err, courses.ErrEnrollmentNotFound) { // they were given nothing
		_, err = c.Cancel(ctx, c.people[i], c.course.Slug, "")
	}
	return ignore(err, courses.ErrEnrollmentNotFound)
}

// payNow has the buyer of an order pay, and hands the callback in.
func (c *crowd) payNow(ctx context.Context, order uuid.UUID) error {
	event, err := c.bank.Settle(order, true)
	if err != nil {
		return err
	}
	header, body, err := c.bank.Seal(event)
	if err != nil {
		return err
	}
	return c.PaymentCallback(ctx, "fake", header, body)
}

// look compares what is stored with the list.
func (c *crowd) look(t testing.TB) {
	t.Helper()
	var seated, waiting int
	require.NoError(t, c.db.QueryRow("SELECT coalesce(sum(CASE WHEN status IN ('active', 'completed') THEN 1 ELSE 0 END), 0),"+
		" coalesce(sum(CASE WHEN status = 'waiting' THEN 1 ELSE 0 END), 0) FROM ustat_enrollments WHERE course_id = $1", int64(c.course.ID)).Scan(&seated, &waiting))
	require.LessOrEqual(t, seated, capacity)
	require.True(t, seated == capacity || waiting == 0, "%d wait and %d are seated", waiting, seated)
	require.Equal(t, []int{len(c.list.seated), len(c.list.waiting)}, []int{seated, waiting})
}

func ignore(err error, expected ...error) error {
	for _, e := range expected {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

// told returns the events that wait, in the order in which they happened: each is of
// a time of its own, taken under the course's lock.
func (w *world) told(t testing.TB) []core.Event {
	t.Helper()
	var all []core.Event
	for {
		pending, err := w.backend.Courses.Pending(t.Context(), 1000)
		require.NoError(t, err)
		for _, e := range pending {
			require.NoError(t, w.backend.Courses.Done(t.Context(), e.ID))
		}
		if all = append(all, pending...); len(pending) < 1000 {
			break
		}
	}
	slices.SortStableFunc(all, func(a, b core.Event) int { return a.At.Compare(b.At) })
	return all
}

// waitingList is what a course's seats must be after its events.
type waitingList struct {
	seated, waiting  []courses.EnrollmentID
	events, promoted int
}

func (l *waitingList) play(t testing.TB, course courses.CourseID, events []core.Event) {
	t.Helper()
	for _, event := range events {
		var e courses.LearningChanged
		require.NoError(t, json.Unmarshal(event.Payload, &e))
		if e.Course != course {
			continue
		}
		l.events++
		gone := func(id courses.EnrollmentID) bool { return id == e.Enrollment }
		there := slices.ContainsFunc(l.seated, gone) || slices.ContainsFunc(l.waiting, gone)
		switch event.Type {
		case courses.EventEnrolled:
			require.Empty(t, l.waiting, "somebody came in before those who wait")
			l.seated = append(l.seated, e.Enrollment)
		case courses.EventWaitlisted:
			l.waiting = append(l.waiting, e.Enrollment)
		case courses.EventPromoted:
			require.Equal(t, l.waiting[0], e.Enrollment, "who has waited longest is the first")
			l.waiting, l.seated = l.waiting[1:], append(l.seated, e.Enrollment)
			l.promoted++
		case courses.EventCancelled, courses.EventRefunded:
			require.True(t, there || event.Type == courses.EventRefunded, "who has given up may be refunded, and nobody ends twice")
			l.seated, l.waiting = slices.DeleteFunc(l.seated, gone), slices.DeleteFunc(l.waiting, gone)
		case courses.EventOrderCreated, courses.EventOrderPaid, courses.EventOrderExpired, courses.EventOrderRefunded:
			l.events--
		default:
			t.Fatalf("%s is no event of this test", event.Type)
		}
		require.LessOrEqual(t, len(l.seated), capacity)
	}
}
