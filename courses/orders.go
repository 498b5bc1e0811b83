package courses

import (
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
)

// OrderStatus is where an order is in its life.
type OrderStatus string

// The statuses of an order.
const (
	OrderPending   OrderStatus = "pending"   // waits for the money; it holds a use of its coupon
	OrderPaid      OrderStatus = "paid"      // the learner is enrolled
	OrderExpired   OrderStatus = "expired"   // the money did not come in time, or the payment failed
	OrderRefunding OrderStatus = "refunding" // the access has ended, the money is on its way back
	OrderRefunded  OrderStatus = "refunded"
)

// OrderStatuses lists every status of an order.
var OrderStatuses = [...]OrderStatus{OrderPending, OrderPaid, OrderExpired, OrderRefunding, OrderRefunded}

// MaxOpenOrders is how many orders of a user may be open at once: those that are pending,
// and those that were given up while their payment may still be made.
const MaxOpenOrders = 20

// Order is the purchase of one course by one user. Of a user and a course at most one
// is pending.
type Order struct {
	ID        uuid.UUID // version 7; also the key under which a provider knows it
	Course    CourseID
	Slug      string // of the course, filled on reading
	User      core.UserID
	Username  string     // a Store leaves it empty; the Service fills it
	Price     core.Money // of the course when it was ordered
	Coupon    string     // code; empty without one
	Total     core.Money // what is paid: the price less the coupon's discount, at least 0
	Status    OrderStatus
	Provider  string // name of the Payments that has it; empty where the total is 0
	Payment   string // the provider's id of the payment; empty until it is known
	PayURL    string // where the buyer pays
	Code      string // of why it was expired or refunded, for machines
	CreatedAt time.Time
	PaidAt    time.Time
	EndedAt   time.Time // expired or refunded
	ExpiresAt time.Time // when a pending one is given up
	// Watched says that its provider is still asked about it: while it is pending, or
	// being refunded, and while the payment of one that was given up may still be made.
	Watched bool
	Version int64
}

// Coupon lowers the price of orders.
type Coupon struct {
	Code      string     // as it is shown; unique without case
	Percent   int        // 1 to 100, rounded in the buyer's favour; 0 where it is an amount
	Amount    core.Money // off the price, of the same currency; zero where it is a percentage
	Course    CourseID   // the only one that it is for; 0 is any
	Slug      string     // of Course, filled on reading
	Limit     int        // how many orders may use it; 0 is any number
	PerUser   int        // how many orders of one user; 0 is any number
	Used      int        // by orders that are pending or paid
	StartsAt  time.Time  // zero is at once
	EndsAt    time.Time  // zero is never
	Active    bool
	CreatedAt time.Time
	Version   int64
}

// Entitlement is a right to take a course that does not depend on its price: bought,
// or given. There is at most one a user and course.
type Entitlement struct {
	Course    CourseID
	User      core.UserID
	Source    Source    // SourcePurchase or SourceGrant
	Order     uuid.UUID // of a purchase
	PricePaid core.Money
	By        core.UserID // who gave it; 0 of a purchase
	At        time.Time
}
