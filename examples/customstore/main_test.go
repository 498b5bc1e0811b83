package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/storagetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storagetest.RunReports(t, func(t *testing.T) *storage.Backend {
		backend, err := open(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = backend.Close() })
		_, err = backend.Schema.Migrate(t.Context())
		require.NoError(t, err)
		return backend
	}, storagetest.Limits{
		SingleWriter: true,
		AuditRows:    func(_ testing.TB, b *storage.Backend) int { return len(b.Reports.(store).Audited(1000)) },
	})
}

func TestAReportIsMadeOverTheStore(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2, "a header and the course: %s", out.String())
	require.Contains(t, lines[1], "Analytical engines")
}
