// Package killtest runs a worker process, kills it, and reads what it had promised.
//
// The worker is a small program (killtest/worker) that opens a platform and does
// the operations that it is given, each with an invoke line before and an answer
// behind it in a history that no kill can lose. A test kills it at a point of
// package fault or at any instant, starts another on the same database, and compares
// what was acknowledged with what is stored. See docs/faults.md.
package killtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/internal/pgtest"
)

// patience is how long a worker may take for all of its work.
const patience = 2 * time.Minute

// Ended is how a worker ended.
type Ended struct {
	Calls  []Call
	Killed bool // by a signal, not by the end of its work
}

// Run starts a worker, gives it work, and waits for its end. With a kill that is
// not negative it is sent SIGKILL that long after it has begun to work. A worker
// that ends otherwise than by its work or by a kill fails the test.
func Run(t testing.TB, w Work, kill time.Duration, env ...string) Ended {
	t.Helper()
	w.History = filepath.Join(t.TempDir(), "history")
	text, err := json.Marshal(w)
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t))
	cmd.Env = append(append(os.Environ(), "PGAPPNAME="+application), env...)
	cmd.Stdin = bytes.NewReader(text)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	// The worker's only line says that it begins to work.
	if ready, _ := bufio.NewReader(stdout).ReadString('\n'); ready != "" && kill >= 0 {
		time.Sleep(kill)
		_ = cmd.Process.Kill() // it may have ended
	}
	err = cmd.Wait()
	require.NoError(t, ctx.Err(), "the worker hangs: %s", stderr.String())
	ended := Ended{Killed: err != nil && cmd.ProcessState.ExitCode() == -1}
	require.True(t, err == nil || ended.Killed, "the worker: %v: %s", err, stderr.String())
	settle(t, w)
	ended.Calls, err = ReadHistory(w.History)
	if !os.IsNotExist(err) { // killed before its first call
		require.NoError(t, err)
	}
	return ended
}

// NoKill is a kill that does not come.
const NoKill time.Duration = -1

// application is what workers call themselves to PostgreSQL.
const application = "ustat_killtest"

// settle waits until PostgreSQL has ended what the worker had sent to it: it may
// still be at a COMMIT whose client is dead.
func settle(t testing.TB, w Work) {
	t.Helper()
	if w.Engine != "postgres" {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, w.DSN)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for {
		var left int
		require.NoError(t, conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1", application).Scan(&left))
		if left == 0 {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

var built struct {
	once sync.Once
	dir  string
	err  error
}

// program returns the worker, which is built once a process.
func program(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "ustat-killtest-"); built.err != nil {
			return
		}
		_, here, _, _ := runtime.Caller(0)
		cmd := exec.Command("go", "build", "-tags", "ustat_fault", "-o", filepath.Join(built.dir, "worker"), "./worker")
		cmd.Dir = filepath.Dir(here)
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the worker: %w: %s", err, out)
		}
	})
	require.NoError(t, built.err)
	return filepath.Join(built.dir, "worker")
}

// Main runs the tests of a package that runs workers, and removes the program and
// the server that were made for them.
func Main(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	pgtest.Stop()
	os.Exit(code)
}
