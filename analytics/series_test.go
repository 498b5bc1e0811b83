package analytics_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	require.NoError(t, err)
	return loc
}

// TestDaysAreAsLongAsTheyAreThere holds days by their lengths in hours.
func TestDaysAreAsLongAsTheyAreThere(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		from  string
		hours []float64
	}{
		"UTC":                 {"2024-02-28", []float64{24, 24, 24}}, // a leap day
		"Europe/Berlin":       {"2026-03-28", []float64{24, 23, 24}},
		"America/New_York":    {"2026-10-31", []float64{24, 25, 24}},
		"America/Sao_Paulo":   {"2018-11-03", []float64{24, 23, 24}}, // the clock skips midnight
		"America/Havana":      {"2025-11-01", []float64{24, 25, 24}}, // midnight is there twice
		"Australia/Lord_Howe": {"2026-04-04", []float64{24, 24.5, 24}},
		"Asia/Kathmandu":      {"2026-01-01", []float64{24, 24, 24}},
	} {
		loc := zone(t, name)
		from, err := time.ParseInLocation(time.DateOnly+" 15:04", want.from+" 15:00", loc)
		require.NoError(t, err)
		days, err := analytics.Periods(analytics.ByDay, loc, from, from.Add(50*time.Hour))
		require.NoError(t, err)
		require.Len(t, days, 3, name)
		for i, d := range days {
			require.Equal(t, want.hours[i], d.To.Sub(d.From).Hours(), "%s, day %d", name, i)
			require.Zero(t, d.From.Unix()%int64(analytics.Quarter), name)
			require.Equal(t, from.AddDate(0, 0, i).Day(), d.From.In(loc).Day(), name)
		}
	}
}

func TestPeriodsFollowOneAnother(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe"} {
		loc := zone(t, name)
		from := time.Date(2011, 11, 17, 13, 0, 0, 0, loc)
		for unit, to := range map[analytics.Unit]time.Time{
			analytics.ByHour: from.AddDate(0, 0, 40), analytics.ByDay: from.AddDate(0, 0, 900), analytics.ByWeek: from.AddDate(10, 0, 0), analytics.ByMonth: from.AddDate(10, 0, 0),
		} {
			periods, err := analytics.Periods(unit, loc, from, to)
			require.NoError(t, err, "%s %s", name, unit)
			require.False(t, periods[0].From.After(from))
			require.True(t, periods[0].To.After(from))
			require.False(t, periods[len(periods)-1].To.Before(to))
			for i, p := range periods {
				require.True(t, p.To.After(p.From), "%s %s %s", name, unit, p.From)
				require.True(t, i == 0 || periods[i-1].To.Equal(p.From))
				require.Zero(t, p.From.Unix()%int64(analytics.Quarter))
				switch local := p.From.In(loc); unit {
				case analytics.ByDay:
					require.InDelta(t, 24, p.To.Sub(p.From).Hours(), 1, "%s %s", name, p.From)
				case analytics.ByMonth:
					require.Equal(t, 1, local.Day())
				case analytics.ByWeek:
					require.Equal(t, time.Monday, local.Weekday())
				}
			}
		}
	}
	_, err := analytics.Periods(analytics.ByHour, nil, now.AddDate(-1, 0, 0), now)
	require.ErrorIs(t, err, core.ErrInvalid)
	_, err = analytics.Periods("year", nil, now.AddDate(-1, 0, 0), now)
	require.ErrorIs(t, err, core.ErrInvalid)
}
