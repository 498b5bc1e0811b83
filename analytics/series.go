package analytics

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/ustat/ustat/core"
)

// Series returns the counts of a course by hours, days, weeks or months of a time zone,
// from the one with from in it to the last that begins before to; nil is UTC. A zero to is
// now, a zero from 30 days before to. Days are as
// long as they are there: 23, 24 or 25 hours. Points in which nothing happened are zero. It
// fails with core.ErrInvalid for more than MaxPoints points and where to is not after from.
func (s *Service) Series(ctx context.Context, by core.Actor, slug string, unit Unit, zone *time.Location, from, to time.Time) ([]Point, error) {
	ctx = core.WithOperation(ctx, "analytics.Series")
	from, to = s.span(from, to, standardDays*day)
	if err := checkSpan(from, to, s.c.Clock.Now()); err != nil {
		return nil, err
	}
	periods, err := Periods(unit, zone, from, to)
	if err != nil {
		return nil, err
	}
	ref, err := s.course(ctx, by, slug)
	if err != nil {
		return nil, err
	}
	counts, err := s.c.Router.Series(ctx, Key(ref.ID), periods)
	if err != nil {
		return nil, err
	}
	points := make([]Point, len(periods))
	for i := range periods {
		points[i] = Point{periods[i], counts[i]}
	}
	return points, nil
}

// Periods returns the hours, days, weeks or months of a time zone, nil is UTC, from the
// one with from in it to the last that begins before to. It fails with core.ErrInvalid for
// an unknown unit and for more than MaxPoints.
func Periods(unit Unit, zone *time.Location, from, to time.Time) ([]Period, error) {
	if zone == nil {
		zone = time.UTC
	}
	var next func(t time.Time) time.Time
	local := from.In(zone)
	year, month, day := local.Date()
	start := midnight(year, month, day, zone)
	switch unit {
	case ByHour:
		// Hours are counted from the offset of the zone, so that the hour that a clock is
		// put back is there twice.
		_, offset := local.Zone()
		unix := from.Unix() + int64(offset)
		start = time.Unix(unix-unix%3600-int64(offset), 0).In(zone)
		next = func(t time.Time) time.Time { return t.Add(time.Hour) }
	case ByDay:
		next = func(t time.Time) time.Time { return addDays(t, 1) }
	case ByWeek:
		start = midnight(year, month, day-(int(local.Weekday())+6)%7, zone)
		next = func(t time.Time) time.Time { return addDays(t, 7) }
	case ByMonth:
		start = midnight(year, month, 1, zone)
		next = func(t time.Time) time.Time { return midnight(noon(t).Year(), noon(t).Month()+1, 1, zone) }
	default:
		return nil, core.Invalid("unit", "oneof", "hour day week month", string(unit), "there is no such unit")
	}
	var periods []Period
	for start.Before(to) {
		if len(periods) == MaxPoints {
			return nil, core.Invalid("to", "max", strconv.Itoa(MaxPoints)+" points", to.UTC().Format(time.RFC3339), "the span has too many points of that unit")
		}
		end := next(start)
		periods = append(periods, Period{start.UTC(), end.UTC()})
		start = end
	}
	return periods, nil
}

// midnight returns the first moment of a day: where a clock is put forward at midnight
// that is later than 0:00, and where a zone skips the day it is the next one's.
func midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	want := time.Date(year, month, day, 0, 0, 0, 0, time.UTC) // the date, in its right form
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if earlier := t.Add(-time.Hour); compareDates(earlier, want) == 0 { // 0:00 is there twice
		return earlier
	}
	for compareDates(t, want) < 0 { // it fell before the gap
		t = t.Add(15 * time.Minute)
	}
	return t
}

// compareDates compares the dates of two moments, each in its own zone.
func compareDates(a, b time.Time) int {
	y1, m1, d1 := a.Date()
	y2, m2, d2 := b.Date()
	return cmp.Or(cmp.Compare(y1, y2), cmp.Compare(m1, m2), cmp.Compare(d1, d2))
}

// noon is a moment of the same day that is in no gap.
func noon(t time.Time) time.Time { return t.Add(12 * time.Hour) }

func addDays(t time.Time, days int) time.Time {
	year, month, day := t.Date()
	return midnight(year, month, day+days, t.Location())
}
