package core

import "time"

// Clock tells the time. Implementations are safe for concurrent use.
type Clock interface {
	// Now returns the current time in UTC, cut to microseconds, which is what
	// every store keeps.
	Now() time.Time
}

// SystemClock is the Clock of the machine.
type SystemClock struct{}

// Now implements Clock.
func (SystemClock) Now() time.Time { return Time(time.Now()) }

// Time returns t as stores keep it: in UTC, cut to microseconds, without a
// monotonic part.
func Time(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
