package storagetest_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/storage/storagetest"
)

// wrongEnv names the broken store that a child process runs the suite on.
const wrongEnv = "USTAT_STORAGETEST_WRONG"

const sound = "none"

// TestABrokenStore is the child of the tests below.
func TestABrokenStore(t *testing.T) {
	name := os.Getenv(wrongEnv)
	if name == "" {
		t.Skip("this runs as the child of TestTheSuiteFindsEachBrokenStore")
	}
	storagetest.Run(t, func(t *testing.T) *storage.Backend {
		b := openSQLite(t, new(side))
		if name != sound {
			wrongs[name].spoil(b)
		}
		return b
	}, storagetest.Limits{SingleWriter: true})
}

func TestTheSuiteFindsEachBrokenStore(t *testing.T) {
	t.Parallel()
	for name, wrong := range wrongs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			passed, out := child(t, name, wrong.found)
			require.False(t, passed, "the suite passed a store with: %s\n%s", name, out)
			require.Contains(t, out, "--- FAIL: TestABrokenStore/"+strings.ReplaceAll(wrong.found, " ", "_")+" ", "another case has failed")
			require.NotContains(t, out, "panic:")
		})
	}
}

// The child's own store must not be what makes the cases fail.
func TestTheSuitePassesTheStoreThatIsBroken(t *testing.T) {
	t.Parallel()
	for _, wrong := range wrongs {
		t.Run(wrong.found, func(t *testing.T) {
			t.Parallel()
			passed, out := child(t, sound, wrong.found)
			require.True(t, passed, out)
			require.Contains(t, out, "--- PASS: TestABrokenStore/"+strings.ReplaceAll(wrong.found, " ", "_")+" ")
		})
	}
}

// child runs one case of the suite on a broken store in a process of its own,
// since a test cannot be expected to fail in this one.
func child(t *testing.T, wrong, name string) (passed bool, out string) {
	t.Helper()
	domain, title, _ := strings.Cut(strings.ReplaceAll(name, " ", "_"), "/")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestABrokenStore$/^"+domain+"$/^"+regexp.QuoteMeta(title)+"$", "-test.short", "-test.v")
	run.Env = append(os.Environ(), wrongEnv+"="+wrong)
	raw, err := run.CombinedOutput()
	require.NoError(t, ctx.Err(), "the suite hangs: %s", raw)
	return err == nil, string(raw)
}
