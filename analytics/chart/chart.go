// Package chart draws the charts of analytics as SVG, for pages that have no scripts:
//
//	ustat.New(backend, &ustat.Config{Charts: chart.Painter{}})
package chart

import (
	"cmp"
	"math"
	"strconv"

	"github.com/go-analyze/charts"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
)

// The size of a chart without one, in pixels, and the bounds of a side.
const (
	DefaultWidth, DefaultHeight = 800, 400
	MinSide, MaxSide            = 200, 4000
)

// Painter draws lines: views, enrollments and completions. The zero Painter has the
// default size. It is safe for concurrent use.
type Painter struct {
	Width, Height int // MinSide to MaxSide; zero means the default
}

var _ analytics.Painter = Painter{}

// SVG implements analytics.Painter. It fails with core.ErrInvalid for a size out of its
// bounds.
func (p Painter) SVG(picture analytics.Picture) ([]byte, error) {
	width, height := cmp.Or(p.Width, DefaultWidth), cmp.Or(p.Height, DefaultHeight)
	for field, side := range map[string]int{"Width": width, "Height": height} {
		if side < MinSide || side > MaxSide {
			return nil, core.Invalid(field, "range", "200-4000", strconv.Itoa(side), "200 to 4,000 pixels are expected")
		}
	}
	n := len(picture.Points)
	labels := make([]string, n)
	lines := [][]float64{make([]float64, n), make([]float64, n), make([]float64, n)}
	for i, point := range picture.Points {
		labels[i] = point.From.In(picture.Zone).Format(layouts[picture.Unit])
		for line, count := range []int64{point.Views, point.Enrollments, point.Completions} {
			lines[line][i] = float64(count)
		}
	}
	option := charts.NewLineChartOptionWithData(lines)
	option.Theme = charts.GetTheme(charts.ThemeLight)
	option.XAxis.Labels = labels
	option.Legend.SeriesNames = []string{"views", "enrollments", "completions"}
	option.Symbol = charts.Symbol{Shape: charts.SymbolNone}
	option.LineStrokeWidth = 2
	option.ValueFormatter = func(f float64) string { return strconv.FormatFloat(math.Round(f*100)/100, 'f', -1, 64) }
	canvas := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: width, Height: height})
	if err := canvas.LineChart(option); err != nil {
		return nil, err
	}
	return canvas.Bytes()
}

// layouts show the times of points.
var layouts = map[analytics.Unit]string{
	analytics.ByHour: "01-02 15:04", analytics.ByDay: "2006-01-02", analytics.ByWeek: "2006-01-02", analytics.ByMonth: "2006-01",
}
