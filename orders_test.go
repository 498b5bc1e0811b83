package ustat_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/payments/fake"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/ustattest"
)

// priced makes a published course that costs something, and a student.
func priced(t *testing.T, p *ustattest.Platform) (slug string, student core.Actor) {
	t.Helper()
	ctx, by := t.Context(), accounts.System
	_, err := p.Accounts.CreateUser(ctx, by, accounts.NewUser{Username: "anna", Email: "anna@example.org", Role: core.Teacher})
	require.NoError(t, err)
	u, err := p.Accounts.CreateUser(ctx, by, accounts.NewUser{Username: "sam", Email: "sam@example.org", Role: core.Student})
	require.NoError(t, err)
	_, err = p.Courses.CreateCategory(ctx, by, courses.NewCategory{Name: "Web"})
	require.NoError(t, err)
	c, err := p.Courses.Create(ctx, by, courses.NewCourse{Title: "Go", Category: "web", Teacher: "anna", Price: &core.Money{Minor: 100, Currency: "EUR"}})
	require.NoError(t, err)
	m, err := p.Courses.CreateModule(ctx, by, c.Slug, courses.NewModule{Title: "One"})
	require.NoError(t, err)
	_, err = p.Courses.CreateLesson(ctx, by, c.Slug, m.ID, courses.NewLesson{Title: "First", Kind: courses.Text})
	require.NoError(t, err)
	_, err = p.Courses.Submit(ctx, by, c.Slug, 0)
	require.NoError(t, err)
	_, err = p.Courses.Publish(ctx, by, c.Slug, 0)
	require.NoError(t, err)
	return c.Slug, core.Actor{UserID: u.ID, Role: u.Role}
}

// TestThePlatformSettlesOrders has a provider that never calls back.
func TestThePlatformSettlesOrders(t *testing.T) {
	t.Parallel()
	bank, err := fake.New(fake.Config{PayURL: "https://pay.example.org"})
	require.NoError(t, err)
	p := ustattest.New(t, ustattest.WithConfig(ustat.Config{
		Payments: []courses.Payments{bank}, Queue: tasks.NewMemory(nil), OrderTTL: time.Hour,
	}))
	slug, sam := priced(t, p)
	o, err := p.Courses.CreateOrder(t.Context(), sam, courses.NewOrder{Course: slug})
	require.NoError(t, err)
	require.Equal(t, time.Hour, o.ExpiresAt.Sub(o.CreatedAt))
	_, err = bank.Settle(o.ID, true)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		p.Clock.Advance(time.Minute)
		now, err := p.Courses.Order(t.Context(), sam, o.ID)
		return err == nil && now.Status == courses.OrderPaid
	}, time.Minute, 20*time.Millisecond)
	require.NoError(t, ustattest.CheckInvariants(t.Context(), p.Backend))
}

// TestNoProviderIsCalledInsideATransaction holds what In says of orders.
func TestNoProviderIsCalledInsideATransaction(t *testing.T) {
	t.Parallel()
	bank, err := fake.New(fake.Config{})
	require.NoError(t, err)
	p := ustattest.New(t, ustattest.WithConfig(ustat.Config{Payments: []courses.Payments{bank}}))
	slug, sam := priced(t, p)
	_, err = p.Courses.CreateCoupon(t.Context(), accounts.System, courses.NewCoupon{Code: "FREE", Percent: 100})
	require.NoError(t, err)
	require.NoError(t, p.Atomic(t.Context(), func(in *ustat.Platform) error {
		_, err := in.Courses.CreateOrder(context.Background(), sam, courses.NewOrder{Course: slug})
		require.ErrorIs(t, err, core.ErrUnavailable)
		o, err := in.Courses.CreateOrder(context.Background(), sam, courses.NewOrder{Course: slug, Coupon: "FREE"})
		require.Equal(t, courses.OrderPaid, o.Status, "there is nothing to pay")
		return err
	}))
	require.Empty(t, bank.Ledger())
}

func TestBadProvidersAreRefused(t *testing.T) {
	t.Parallel()
	named := func(name string) courses.Payments {
		p, err := fake.New(fake.Config{Name: name})
		require.NoError(t, err)
		return p
	}
	p := ustattest.New(t)
	for field, c := range map[string]ustat.Config{
		"Payments[0]": {Payments: []courses.Payments{nil}},
		"Payments[1]": {Payments: []courses.Payments{named("a"), named("a")}},
		"Payments[2]": {Payments: []courses.Payments{named("a"), named("b"), named("A B")}},
		"OrderTTL":    {OrderTTL: time.Second},

		"Gates[0]":             {Gates: []courses.Gate{nil}},
		"Achievements[1].code": {Achievements: []accounts.Rule{{Achievement: accounts.Achievement{Code: "fine", Title: "Fine"}}, {Achievement: accounts.Achievement{Code: "No", Title: "No"}}}},
	} {
		_, err := ustat.New(p.Backend, &c)
		require.ErrorIs(t, err, core.ErrInvalid)
		require.Equal(t, field, err.(*core.Error).Violations[0].Field)
	}
}
