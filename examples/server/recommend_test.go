package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStrategiesAreMeasuredOnFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("user,course,ts\n")
	for user := range 30 {
		for step := range 4 {
			fmt.Fprintf(&b, "%d,%d,%d\n", user, (user+step)%10, 1_600_000_000+step)
		}
	}
	interactions := filepath.Join(dir, "interactions.csv")
	require.NoError(t, os.WriteFile(interactions, []byte(b.String()), 0o600))

	args := []string{"recommend", "eval", "--interactions", interactions, "--k", "3"}
	status, stdout, stderr := command(t, append(args, "--json", "--strategy", "popularity", "--strategy", "hybrid")...)
	require.Equal(t, statusOK, status, stderr)
	var out struct {
		Data    string
		Split   string
		K       int
		Results []map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &out))
	require.Equal(t, interactions, out.Data)
	require.Equal(t, "leave-last-out", out.Split)
	require.Equal(t, 3, out.K)
	require.Len(t, out.Results, 2)
	require.Equal(t, "popularity", out.Results[0]["strategy"])
	for _, key := range []string{"ndcg", "recall", "mrr", "coverage", "ndcg_stderr", "users", "fit_seconds", "p50_us", "p99_us"} {
		require.Contains(t, out.Results[1], key)
	}
	require.InDelta(t, 30, out.Results[1]["users"], 0)
	require.Greater(t, out.Results[1]["ndcg"], 0.9, "everybody goes on to the next course")

	status, stdout, stderr = command(t, append(args, "--unseen", interactions)...)
	require.Equal(t, statusOK, status, stderr)
	require.Contains(t, stdout, "unseen, lists of 3")
	require.Contains(t, stdout, "hybrid less popularity")
}
