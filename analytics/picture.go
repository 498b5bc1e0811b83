package analytics

import (
	"context"
	"time"

	"github.com/ustat/ustat/core"
)

// Picture is what a chart shows: the points of a course, in a time zone.
type Picture struct {
	Unit   Unit
	Zone   *time.Location
	Points []Point
}

// Painter makes charts; see package analytics/chart. It is safe for concurrent use.
type Painter interface {
	// SVG returns a picture as SVG: no scripts, nothing that is loaded, no text but
	// numbers, times and names of counts.
	SVG(p Picture) ([]byte, error)
}

// ErrNoPainter is returned by Chart where the platform makes no charts.
var ErrNoPainter = &core.Error{Kind: core.KindUnavailable, Code: "analytics.no_charts", Message: "this platform makes no charts: it has no painter of them"}

// Chart returns Series as SVG. Besides the errors of Series it fails with ErrNoPainter.
func (s *Service) Chart(ctx context.Context, by core.Actor, slug string, unit Unit, zone *time.Location, from, to time.Time) ([]byte, error) {
	if s.c.Painter == nil {
		return nil, ErrNoPainter
	}
	points, err := s.Series(ctx, by, slug, unit, zone, from, to)
	if err != nil {
		return nil, err
	}
	if zone == nil {
		zone = time.UTC
	}
	svg, err := s.c.Painter.SVG(Picture{unit, zone, points})
	if err != nil {
		return nil, core.ErrInternal.Because(err)
	}
	return svg, nil
}
