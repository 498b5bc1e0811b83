package reports

import (
	"context"
	"slices"
	"time"
	_ "time/tzdata" // time zones are asked for by name, also on machines that have none

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
)

// Analytics is what reports ask analytics for.
type Analytics interface {
	Series(ctx context.Context, by core.Actor, slug string, unit analytics.Unit, zone *time.Location, from, to time.Time) ([]analytics.Point, error)
	TeacherRevenue(ctx context.Context, by core.Actor, teacher string) (analytics.RevenueReport, error)
}

// points returns what a report on a course is made of.
func (s *Service) points(ctx context.Context, by core.Actor, f Filter) ([]analytics.Point, error) {
	zone, err := time.LoadLocation(f.Zone) // empty is UTC
	if err != nil {
		return nil, core.Invalid("tz", "timezone", "", f.Zone, "the name of a time zone is expected, as Europe/Moscow")
	}
	unit := f.Interval
	if unit == "" {
		unit = analytics.ByDay
	}
	return s.c.Analytics.Series(ctx, by, f.Course, unit, zone, f.From, f.To)
}

// course writes the points of a course, with a column for each currency of its revenue.
func (s *Service) course(ctx context.Context, by core.Actor, f Filter, w Writer) (rows int, err error) {
	points, err := s.points(ctx, by, f)
	if err != nil {
		return 0, err
	}
	var currencies []string
	for _, p := range points {
		for _, r := range p.Revenue {
			currencies = append(currencies, r.Currency)
		}
	}
	slices.Sort(currencies)
	currencies = slices.Compact(currencies)
	header := []string{
		"from", "to", "views", "enrollments", "starts", "completions", "lesson_starts", "lesson_completions", "bookmarks", "reviews", "purchases", "refunds",
	}
	for _, currency := range currencies {
		header = append(header, "revenue_"+currency)
	}
	if err := w.Row(texts(header)...); err != nil {
		return 0, err
	}
	for _, p := range points {
		row := []Cell{Time(p.From), Time(p.To)}
		for _, n := range []int64{
			p.Views, p.Enrollments, p.Starts, p.Completions, p.LessonStarts, p.LessonCompletions, p.Bookmarks, p.Reviews, p.Purchases, p.Refunds,
		} {
			row = append(row, Int(n))
		}
		for _, currency := range currencies {
			row = append(row, Money(netIn(p.Revenue, currency)))
		}
		if err := w.Row(row...); err != nil {
			return rows, err
		}
		rows++
	}
	return rows, nil
}

// netIn returns what is earned in a currency.
func netIn(revenue []analytics.Revenue, currency string) core.Money {
	for _, r := range revenue {
		if r.Currency == currency {
			return r.Net()
		}
	}
	return core.Money{Currency: currency}
}

func texts(list []string) []Cell {
	cells := make([]Cell, len(list))
	for i, text := range list {
		cells[i] = Text(text)
	}
	return cells
}

// revenue writes what the courses of a teacher have earned: a row for each course and
// currency. It is whole: where a shard does not answer it fails with core.ErrUnavailable,
// and is tried again.
func (s *Service) revenue(ctx context.Context, by core.Actor, f Filter, w Writer) (rows int, err error) {
	found, err := s.c.Analytics.TeacherRevenue(ctx, by, f.Teacher)
	if err != nil {
		return 0, err
	}
	if len(found.Missing) > 0 {
		return 0, core.ErrUnavailable.Withf("shard %s does not answer", found.Missing[0])
	}
	if err := w.Row(texts([]string{"teacher", "course", "title", "status", "enrollments", "completions", "gross", "refunded", "net", "currency"})...); err != nil {
		return 0, err
	}
	for _, c := range found.Courses {
		for _, r := range c.Revenue {
			if err := w.Row(Text(found.Teacher), Text(c.Course.Slug), Text(c.Course.Title), Text(string(c.Course.Status)), Int(c.Enrollments), Int(c.Completions),
				Money(core.Money{Minor: r.Gross, Currency: r.Currency}), Money(core.Money{Minor: r.Back, Currency: r.Currency}), Money(r.Net()), Text(r.Currency)); err != nil {
				return rows, err
			}
			rows++
		}
	}
	return rows, nil
}
