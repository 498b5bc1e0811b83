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

// LastTime is the latest moment that ValidTime takes and stores keep.
var LastTime = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)

// ValidTime reports whether the year of t in UTC is 1 to 9999: of others RFC 3339 has
// no text, so that no answer in JSON can carry them.
func ValidTime(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 1 && year <= 9999
}
