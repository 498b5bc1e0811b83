package killtest_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/internal/fault"
	"github.com/ustat/ustat/internal/killtest"
	"github.com/ustat/ustat/payments/fake"
	"github.com/ustat/ustat/payments/httppay"
	"github.com/ustat/ustat/payments/signed"
)

// shop is a world in which courses are bought: its provider of payments lives beside the
// workers, and keeps its own ledger.
type shop struct {
	*world
	bank *fake.Provider
}

func newShop(t *testing.T, w *world) *shop {
	t.Helper()
	keys, err := signed.NewKeys([]byte(killtest.PaymentKey))
	require.NoError(t, err)
	bank, err := fake.New(fake.Config{Name: "http", Keys: keys})
	require.NoError(t, err)
	server := httptest.NewServer(httppay.Handler(bank, killtest.PaymentToken))
	t.Cleanup(server.Close)
	w.payments = server.URL
	w.register(t, "rival")
	return &shop{w, bank}
}

// purchase is one buyer of one course with a coupon that can be used once.
type purchase struct {
	name  string
	order string // its id, once that is known
	fault fault.Plan
	twice bool // the provider calls back twice, or never
}

func (s *shop) purchase(t *testing.T, name string) *purchase {
	t.Helper()
	s.register(t, name)
	s.inReview(t, name)
	price := core.Money{Minor: 1000, Currency: "EUR"}
	_, err := s.Courses.Edit(t.Context(), accounts.System, name, courses.CourseEdit{Price: &price})
	require.NoError(t, err)
	_, err = s.Courses.Publish(t.Context(), accounts.System, name, 0)
	require.NoError(t, err)
	_, err = s.Courses.CreateCoupon(t.Context(), accounts.System, courses.NewCoupon{Code: name, Percent: 10, Limit: 1})
	require.NoError(t, err)
	return &purchase{name: name}
}

func (p *purchase) create() killtest.Op { return p.createBy(p.name) }

func (p *purchase) createBy(buyer string) killtest.Op {
	return killtest.Op{Name: "orders.create", Args: map[string]string{"slug": p.name, "coupon": p.name, "by": buyer, "key": "key"}}
}

func (p *purchase) refund() killtest.Op {
	return killtest.Op{Name: "orders.refund", Args: map[string]string{"order": p.order}}
}

// paid has the buyer pay, and returns a callback of it.
func (s *shop) paid(t *testing.T, p *purchase) killtest.Op {
	t.Helper()
	event, err := s.bank.Settle(uuid.MustParse(p.order), true)
	require.NoError(t, err)
	header, body, err := s.bank.Seal(event)
	require.NoError(t, err)
	return killtest.Op{Name: "orders.callback", Args: map[string]string{"signature": header[signed.Header][0], "body": string(body)}}
}

// created has one worker create the orders of purchases.
func (s *shop) created(t *testing.T, list ...*purchase) {
	t.Helper()
	var ops []killtest.Op
	for _, p := range list {
		ops = append(ops, p.create())
	}
	for i, call := range s.run(t, ops...).Calls {
		require.Equal(t, killtest.OK, call.Outcome, call.Error)
		var o courses.Order
		require.NoError(t, call.Into(&o))
		require.NotEmpty(t, o.Payment)
		list[i].order = o.ID.String()
	}
}

// settle has a worker whose clock is ahead settle what waits.
func (s *shop) settle(t *testing.T, ahead time.Duration, plan fault.Plan) killtest.Ended {
	t.Helper()
	work := s.work([]killtest.Op{{Name: "orders.settle", Fault: plan}})
	work.Ahead = ahead
	return killtest.Run(t, work, killtest.NoKill)
}

// stage is a part of a purchase that is stopped at its points.
type stage struct {
	name    string
	prepare func(t *testing.T, s *shop, list ...*purchase)
	do      func(t *testing.T, s *shop, p *purchase) killtest.Ended
}

var stages = []stage{
	{"order", func(*testing.T, *shop, ...*purchase) {}, func(t *testing.T, s *shop, p *purchase) killtest.Ended {
		op := p.create()
		op.Fault = p.fault
		return s.run(t, op)
	}},
	{"callback", func(t *testing.T, s *shop, list ...*purchase) { s.created(t, list...) }, func(t *testing.T, s *shop, p *purchase) killtest.Ended {
		op := s.paid(t, p)
		op.Fault = p.fault
		return s.run(t, op)
	}},
	{"refund", func(t *testing.T, s *shop, list ...*purchase) {
		s.created(t, list...)
		var ops []killtest.Op
		for _, p := range list {
			ops = append(ops, s.paid(t, p))
		}
		s.run(t, ops...)
	}, func(t *testing.T, s *shop, p *purchase) killtest.Ended {
		op := p.refund()
		op.Fault = p.fault
		return s.run(t, op)
	}},
	{"settle", func(*testing.T, *shop, ...*purchase) {}, func(t *testing.T, s *shop, p *purchase) killtest.Ended {
		s.created(t, p)
		s.paid(t, p) // and the provider never calls back
		return s.settle(t, 2*time.Minute, p.fault)
	}},
}

// TestPurchasesAreStoppedAtEveryPoint stops what makes a purchase, and its refund, at
// each of their points, with a provider that calls back twice or never. Once what was
// interrupted has been settled, the provider's own ledger and what is stored agree: one
// charge for each enrollment that was bought, none without, and no coupon used more often
// than it may be. Without USTAT_TEST_SCALE it takes some of the points, the provider's
// calls and the COMMITs among them.
func TestPurchasesAreStoppedAtEveryPoint(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		s := newShop(t, w)
		stopped := 0
		for _, stage := range stages {
			dry := s.purchase(t, "dry-"+stage.name)
			stage.prepare(t, s, dry)
			calls := stage.do(t, s, dry).Calls
			require.Equal(t, killtest.OK, calls[0].Outcome, "%s: %s", stage.name, calls[0].Error)
			list := s.tries(t, stage.name, calls[0].Hits)
			stage.prepare(t, s, list...)
			for _, p := range list {
				ended := stage.do(t, s, p)
				require.Equal(t, p.fault.Mode == fault.Kill, ended.Killed, "%s at %s", stage.name, p.fault)
			}
			s.heal(t, stage.name, append(list, dry))
			s.reconcile(t, stage.name)
			s.check(t)
			stopped += len(list)
		}
		t.Logf("%d stops", stopped)
	})
}

// tries returns a purchase for each point that was passed, as often as it was, and each
// way to be stopped there.
func (s *shop) tries(t *testing.T, stage string, hits []string) (list []*purchase) {
	t.Helper()
	passed := map[string]int{}
	for i, point := range hits {
		passed[point]++
		modes := []fault.Mode{fault.Kill, fault.Error}
		if scale(t) == 1 {
			if point != "sqlstore.update.after_commit" && i%17 != 0 {
				continue
			}
			modes = modes[:1]
		}
		for _, mode := range modes {
			p := s.purchase(t, fmt.Sprintf("%s-%s-%d", stage, mode, i))
			p.fault, p.twice = fault.Plan{Point: point, Mode: mode, Nth: passed[point]}, len(list)%2 == 0
			list = append(list, p)
		}
	}
	return list
}

// heal is what buyers, the provider and the job that settles orders do afterwards.
func (s *shop) heal(t *testing.T, stage string, list []*purchase) {
	t.Helper()
	var ops []killtest.Op
	switch stage {
	case "order":
		s.created(t, list...) // the callers ask again
	case "refund":
		for _, p := range list {
			ops = append(ops, p.refund(), p.refund())
		}
	}
	if stage == "order" || stage == "callback" {
		for _, p := range list {
			callback := s.paid(t, p)
			if p.twice {
				ops = append(ops, callback, callback)
			}
		}
	}
	for _, call := range s.run(t, ops...).Calls {
		require.Equal(t, killtest.OK, call.Outcome, "%s: %s", call.Op.Name, call.Error)
	}
	for _, ahead := range []time.Duration{time.Hour, 3 * time.Hour} {
		call := s.settle(t, ahead, fault.Plan{}).Calls[0]
		require.Equal(t, killtest.OK, call.Outcome, call.Error)
	}
	if stage == "refund" {
		return
	}
	ops = nil
	for _, p := range list {
		ops = append(ops, p.createBy("rival"))
	}
	for _, call := range s.run(t, ops...).Calls {
		require.Equal(t, "courses.coupon_refused", call.Code, "the use of the coupon is the buyer's: %s", call.Error)
	}
}

// reconcile compares the provider's ledger with what is stored.
func (s *shop) reconcile(t *testing.T, stage string) {
	t.Helper()
	status := map[string]string{}
	for _, row := range s.rows(t, "SELECT CAST(id AS TEXT) || '=' || status FROM ustat_orders") {
		status[row[:36]] = row[37:]
	}
	paid := 0
	for _, e := range s.bank.Ledger() {
		is, known := status[e.Order.String()]
		require.True(t, known, "%s: a payment without an order", stage)
		require.LessOrEqual(t, e.Charges, 1)
		require.Contains(t, []string{"paid", "refunded"}, is, "%s: all are settled", stage)
		require.Equal(t, oneIf(is == "paid"), e.Charges-e.Refunds, "%s: an order is %s, and was charged %d times and refunded %d", stage, is, e.Charges, e.Refunds)
		paid += e.Charges - e.Refunds
		delete(status, e.Order.String())
	}
	require.Empty(t, status, "%s: orders that the provider does not know", stage)
	require.Equal(t, paid, s.count(t, "SELECT count(*) FROM ustat_enrollments WHERE source = 'purchase' AND status IN ('active', 'completed')"), stage)
	require.Equal(t, paid, s.count(t, "SELECT count(*) FROM ustat_outbox WHERE type = 'courses.order_paid'")-
		s.count(t, "SELECT count(*) FROM ustat_outbox WHERE type = 'courses.order_refunded'"), stage)
}

// hitsOfPurchases returns the points that a purchase and its refund pass.
func (w *world) hitsOfPurchases(t *testing.T) (hits []string) {
	t.Helper()
	s := newShop(t, w)
	for _, stage := range stages {
		p := s.purchase(t, "hit-"+stage.name)
		stage.prepare(t, s, p)
		for _, call := range stage.do(t, s, p).Calls {
			require.Equal(t, killtest.OK, call.Outcome, call.Error)
			hits = append(hits, call.Hits...)
		}
	}
	return slices.Compact(hits)
}
