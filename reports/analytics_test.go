package reports_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/reports"
)

// shards are analytics of which some do not answer.
type shards struct{ missing []string }

func (s *shards) Series(context.Context, core.Actor, string, analytics.Unit, *time.Location, time.Time, time.Time) ([]analytics.Point, error) {
	if s.missing != nil {
		return nil, core.ErrUnavailable
	}
	return make([]analytics.Point, 3), nil
}

func (s *shards) TeacherRevenue(context.Context, core.Actor, string) (analytics.RevenueReport, error) {
	return analytics.RevenueReport{Missing: s.missing}, nil
}

func TestAReportWaitsForShardsThatAreAway(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	away := &shards{missing: []string{"two"}}
	config := s.config
	config.Analytics = away
	service := reports.NewService(config)
	for _, order := range []reports.New{
		{Kind: reports.Revenue, Format: "csv", Filter: reports.Filter{Teacher: "ann"}},
		{Kind: reports.Course, Format: "csv", Filter: reports.Filter{Course: "go"}},
	} {
		away.missing = []string{"two"}
		made, err := service.Request(t.Context(), s.actors["ann"], order)
		require.NoError(t, err)
		require.ErrorIs(t, service.Make(t.Context(), made.ID), core.ErrUnavailable, "it is tried again")
		away.missing = nil
		require.NoError(t, service.Make(t.Context(), made.ID))
		done, err := service.Get(t.Context(), s.actors["ann"], made.ID)
		require.NoError(t, err)
		require.Equal(t, reports.Done, done.State)
	}
	_, err := s.service.Request(t.Context(), s.actors["ann"], reports.New{Kind: reports.Revenue, Format: "csv", Filter: reports.Filter{Teacher: "ann"}})
	require.ErrorIs(t, err, reports.ErrNotSetUp)
}
