package analytics_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC)

func TestPrepareTakesTheTimeOfTheId(t *testing.T) {
	t.Parallel()
	id := uuid.Must(uuid.NewV7())
	sec, nsec := id.Time().UnixTime()
	at := time.Unix(sec, nsec).UTC().Truncate(time.Millisecond)
	e, err := analytics.Prepare(analytics.Event{ID: id, Type: analytics.View, Course: 1}, at.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, at, e.OccurredAt)
	require.Equal(t, at.Add(time.Hour), e.ReceivedAt)
	_, err = analytics.Prepare(analytics.Event{ID: uuid.New(), Type: analytics.View, Course: 1}, now)
	require.ErrorIs(t, err, core.ErrInvalid)
	e, err = analytics.Prepare(analytics.Event{Type: analytics.View, Course: 1}, now)
	require.NoError(t, err)
	require.Equal(t, now, e.OccurredAt)
	require.Equal(t, uuid.Version(7), e.ID.Version())
}

func TestPrepareNamesEveryBadField(t *testing.T) {
	t.Parallel()
	for field, e := range map[string]analytics.Event{
		"type":        {Type: "dance", Course: 1, User: 1},
		"course":      {Type: analytics.View},
		"lesson":      {Type: analytics.LessonStart, Course: 1},
		"user":        {Type: analytics.Enroll, Course: 1},
		"session":     {Type: analytics.View, Course: 1, Session: strings.Repeat("s", 101)},
		"amount":      {Type: analytics.View, Course: 1, Amount: core.Money{Minor: 1, Currency: "EUR"}},
		"properties":  {Type: analytics.View, Course: 1, Properties: json.RawMessage(`[1]`)},
		"occurred_at": {Type: analytics.View, Course: 1, OccurredAt: now.Add(25 * time.Hour)},
	} {
		_, err := analytics.Prepare(e, now)
		require.ErrorIs(t, err, core.ErrInvalid, field)
		bad := err.(*core.Error).Violations
		require.Len(t, bad, 1, field)
		require.Equal(t, field, bad[0].Field)
	}
	for _, properties := range []string{"null", `{"a":"\u0000"}`, "{", strings.Repeat(" ", 5000)} {
		_, err := analytics.Prepare(analytics.Event{Type: analytics.Search, Properties: json.RawMessage(properties)}, now)
		require.ErrorIs(t, err, core.ErrInvalid, properties)
	}
}
