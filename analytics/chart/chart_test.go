package chart_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/analytics/chart"
	"github.com/ustat/ustat/core"
)

// picture returns points of so many days, with more views every day.
func picture(t *testing.T, days int) analytics.Picture {
	t.Helper()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	periods, err := analytics.Periods(analytics.ByDay, time.UTC, from, from.AddDate(0, 0, days))
	require.NoError(t, err)
	points := make([]analytics.Point, len(periods))
	for i := range points {
		points[i].Period = periods[i]
		points[i].Views, points[i].Enrollments = int64(10*i), int64(i)
	}
	return analytics.Picture{Unit: analytics.ByDay, Zone: time.UTC, Points: points}
}

// elements returns how often each element comes in well-formed XML, and its text.
func elements(t *testing.T, text []byte) (names map[string]int, words string) {
	t.Helper()
	names = map[string]int{}
	for decoder := xml.NewDecoder(strings.NewReader(string(text))); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return names, words
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			names[token.Name.Local]++
			for _, a := range token.Attr {
				require.False(t, strings.HasPrefix(strings.ToLower(a.Name.Local), "on"), "a script: %s", a.Name.Local)
				require.NotEqual(t, "href", a.Name.Local, "something is loaded")
			}
		case xml.CharData:
			words += string(token) + "\n"
		}
	}
}

func TestAChartIsWellFormedAndLoadsNothing(t *testing.T) {
	t.Parallel()
	for _, days := range []int{0, 1, 30, analytics.MaxPoints} {
		svg, err := chart.Painter{}.SVG(picture(t, days))
		require.NoError(t, err, "%d days", days)
		names, words := elements(t, svg)
		require.Equal(t, 1, names["svg"])
		for _, forbidden := range []string{"script", "image", "foreignObject", "use", "a", "style"} {
			require.Zero(t, names[forbidden], forbidden)
		}
		require.Less(t, len(svg), 200<<10)
		if days > 1 {
			require.Contains(t, words, "enrollments")
			require.Contains(t, words, "2026-01-01")
		}
	}
	few, err := chart.Painter{}.SVG(picture(t, 30))
	require.NoError(t, err)
	other := picture(t, 30)
	other.Points[7].Views = 1000
	more, err := chart.Painter{}.SVG(other)
	require.NoError(t, err)
	require.NotEqual(t, few, more, "the counts are drawn")
}

func TestASizeOutOfBoundsIsRefused(t *testing.T) {
	t.Parallel()
	for _, p := range []chart.Painter{{Width: 199}, {Height: 4001}, {Width: -1}} {
		_, err := p.SVG(picture(t, 3))
		require.ErrorIs(t, err, core.ErrInvalid)
	}
}
