package courses

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// Order returns an order, to its buyer and to admins; to others it is ErrOrderNotFound.
func (s *Service) Order(ctx context.Context, by core.Actor, id uuid.UUID) (Order, error) {
	ctx = core.WithOperation(ctx, "courses.Order")
	o, err := s.visibleOrder(ctx, by, id)
	if err != nil {
		return Order{}, err
	}
	list := []Order{o}
	err = s.nameBuyers(ctx, list)
	return list[0], err
}

func (s *Service) visibleOrder(ctx context.Context, by core.Actor, id uuid.UUID) (Order, error) {
	if by.IsAnonymous() {
		return Order{}, core.ErrUnauthenticated
	}
	o, err := s.store.OrderByID(ctx, id)
	if err == nil && o.User != by.UserID && !by.IsAdmin() {
		err = ErrOrderNotFound
	}
	if err != nil {
		return Order{}, err
	}
	return o, nil
}

// OrderFilter chooses orders. Zero fields do not filter.
type OrderFilter struct {
	User   string // username; only admins name another
	Course string // slug of one that the actor sees
	Status OrderStatus
}

// Orders returns a page of the actor's orders, or to an admin of everybody's, the newest
// first. Who names another user and is no admin is core.ErrForbidden; a filter that names
// nothing is core.ErrInvalid.
func (s *Service) Orders(ctx context.Context, by core.Actor, f OrderFilter, page core.Page) (Page[Order], error) {
	ctx = core.WithOperation(ctx, "courses.Orders")
	if by.IsAnonymous() {
		return Page[Order]{}, core.ErrUnauthenticated
	}
	q, err := s.orderQuery(ctx, by, f)
	if err != nil {
		return Page[Order]{}, err
	}
	out, err := core.ReadPage(s.cursors, fmt.Sprintf("orders/%d/%d/%s", q.User, q.Course, q.Status), page,
		func(after uuid.UUID, limit int) ([]Order, error) {
			q.After, q.Limit = after, limit
			return s.store.Orders(ctx, q)
		},
		func(o Order) uuid.UUID { return o.ID })
	if err != nil {
		return Page[Order]{}, err
	}
	return out, s.nameBuyers(ctx, out.Items)
}

func (s *Service) orderQuery(ctx context.Context, by core.Actor, f OrderFilter) (OrderQuery, error) {
	q := OrderQuery{User: by.UserID, Status: f.Status}
	if by.IsAdmin() {
		q.User = 0
	}
	bad := new(checks)
	if f.Status != "" && !slices.Contains(OrderStatuses[:], f.Status) {
		bad.add("status", "oneof", fmt.Sprint(OrderStatuses), string(f.Status), "there is no such status of an order")
	}
	if f.User != "" {
		u, err := s.users.UserByUsername(ctx, f.User)
		switch {
		case err == nil && (by.IsAdmin() || u.ID == by.UserID):
			q.User = u.ID
		case err != nil && core.KindOf(err) != core.KindNotFound:
			return q, err
		case !by.IsAdmin():
			return q, core.ErrForbidden
		default:
			bad.unknown("user", f.User, "user")
		}
	}
	if f.Course != "" {
		c, _, err := s.visibleCourse(ctx, by, f.Course)
		switch {
		case err == nil:
			q.Course = c.ID
		case core.KindOf(err) == core.KindNotFound:
			bad.unknown("course", f.Course, "course")
		default:
			return q, err
		}
	}
	return q, bad.err()
}

// nameBuyers fills the usernames of orders by one statement.
func (s *Service) nameBuyers(ctx context.Context, list []Order) error {
	return nameUsers(ctx, s, list, func(o *Order) (core.UserID, *string) { return o.User, &o.Username })
}
