package analytics_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/internal/pgtest"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
)

// childEnv makes this test binary track events until it is killed, on the shard that it
// names: "sqlite path" or "postgres dsn".
const childEnv = "USTAT_TEST_TRACK"

func openNamed(ctx context.Context, name string) (analytics.Shard, error) {
	engine, where, _ := strings.Cut(name, " ")
	if engine == "sqlite" {
		return sqlite.OpenShard(ctx, where, nil)
	}
	return postgres.OpenShard(where, nil)
}

// child tracks events by eight callers; it writes "sent" and the ids before a call, and
// "ack" and the ids after it.
func child(name string) error {
	shard, err := openNamed(context.Background(), name)
	if err != nil {
		return err
	}
	strategy, err := analytics.NewJumpHash("one")
	if err != nil {
		return err
	}
	router, err := analytics.NewRouter(map[string]analytics.Shard{"one": shard}, strategy, fixedClock{}, analytics.RouterOptions{})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range cap(errs) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(rand.Uint64(), 1))
			for {
				call := make([]analytics.Event, 1+r.IntN(20))
				ids := make([]string, len(call))
				for i := range call {
					call[i] = oneEvent(r, 20, 50)
					ids[i] = call[i].ID.String()
				}
				line := strings.Join(ids, " ") + "\n"
				_, _ = os.Stdout.WriteString("sent " + line) // one write a line: nothing of it is lost
				if _, err := router.Track(context.Background(), analytics.Durable, call...); err != nil {
					errs <- err
					return
				}
				_, _ = os.Stdout.WriteString("ack " + line)
			}
		})
	}
	return <-errs
}

// TestWhatWasAcknowledgedBeforeSIGKILLIsCountedOnce kills a process again and again while
// it tracks events. What was acknowledged is stored, what is stored was sent, and the
// rollups are what a recount finds.
func TestWhatWasAcknowledgedBeforeSIGKILLIsCountedOnce(t *testing.T) {
	t.Parallel()
	for engine, name := range map[string]func(t *testing.T) string{
		"SQLite":     func(t *testing.T) string { return "sqlite " + filepath.Join(t.TempDir(), "shard.db") },
		"PostgreSQL": func(t *testing.T) string { return "postgres " + pgtest.DSN(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			r := random(t)
			where := name(t)
			sent, acked := map[string]bool{}, map[string]bool{}
			kills := 0
			for ; kills < size(20, 3) || len(acked) < size(1_000_000, 200); kills++ {
				trackAndDie(t, where, time.Duration(50+r.IntN(150))*time.Millisecond, sent, acked)
			}
			shard, err := openNamed(t.Context(), where)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, shard.Close()) })
			stored, counted := map[string]bool{}, int64(0)
			keys, err := shard.Keys(t.Context(), -analytics.Buckets-1, 2000)
			require.NoError(t, err)
			for _, key := range keys {
				found, err := shard.Recount(t.Context(), key, false)
				require.NoError(t, err)
				require.Zero(t, found.Differing, "%v", found.Differences)
				counted += found.Events
				ids(t, shard, key, stored)
			}
			for id := range acked {
				require.True(t, stored[id], "%s was acknowledged", id)
			}
			for id := range stored {
				require.True(t, sent[id], "%s was not sent", id)
			}
			require.Equal(t, int64(len(stored)), counted)
			t.Logf("%d kills, %d events sent, %d acknowledged, %d stored", kills, len(sent), len(acked), len(stored))
		})
	}
}

// ids adds the ids of a key's events.
func ids(t *testing.T, shard analytics.Shard, key analytics.Key, to map[string]bool) {
	t.Helper()
	var after *analytics.EventPosition
	for {
		page, err := shard.CopyOut(t.Context(), key, after, 1000)
		require.NoError(t, err)
		for _, e := range page {
			require.False(t, to[e.ID.String()], "it is stored twice")
			to[e.ID.String()] = true
		}
		if len(page) < 1000 {
			return
		}
		after = &analytics.EventPosition{At: page[999].OccurredAt, ID: page[999].ID}
	}
}

// trackAndDie runs the child and kills it some time after its first answer.
func trackAndDie(t *testing.T, where string, lives time.Duration, sent, acked map[string]bool) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+where)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	var kill sync.Once
	var timer *time.Timer
	for lines.Scan() {
		verb, list, _ := strings.Cut(lines.Text(), " ")
		to := sent
		if verb == "ack" {
			to = acked
			kill.Do(func() { timer = time.AfterFunc(lives, func() { _ = cmd.Process.Kill() }) })
		}
		for id := range strings.FieldsSeq(list) {
			to[id] = true
		}
	}
	if timer != nil {
		timer.Stop()
	}
	require.ErrorContains(t, cmd.Wait(), "killed", stderr.String())
}

// runChild does what childEnv says and ends the process.
func runChild() {
	if name := os.Getenv(childEnv); name != "" {
		fmt.Fprintln(os.Stderr, child(name))
		os.Exit(1)
	}
}
