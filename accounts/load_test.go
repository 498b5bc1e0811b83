package accounts_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage/sqlite"
)

// usual is a platform with the Hasher that is usual, and how many hashes it runs at
// once.
func usual(t *testing.T, users int) (p *ustat.Platform, slots int) {
	t.Helper()
	backend, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "load.db"), nil)
	require.NoError(t, err)
	p, err = ustat.New(backend, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	require.NoError(t, p.Start(t.Context()))
	hash := ""
	for i := range users {
		u, err := p.Accounts.CreateUser(t.Context(), accounts.System, accounts.NewUser{
			Username: fmt.Sprint("user-", i), Email: fmt.Sprintf("u%d@example.org", i), Role: core.Student, Password: map[bool]core.Secret{true: secret}[i == 0],
		})
		require.NoError(t, err)
		if i == 0 {
			hash = u.PasswordHash
			continue
		}
		u.PasswordHash = hash
		require.NoError(t, backend.Accounts.Update(t.Context(), func(ctx context.Context, tx accounts.Tx) error { return tx.UpdateUsers(ctx, u) }))
	}
	return p, max(1, runtime.GOMAXPROCS(0)/2)
}

// stampede signs n users in at once and returns how many got in; the others were
// told that it is busy.
func stampede(t *testing.T, p *ustat.Platform, n int) (in int) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			_, errs[i] = p.Accounts.Login(context.Background(), accounts.Credentials{Login: fmt.Sprint("user-", i), Password: secret}, accounts.Client{Network: fmt.Sprint("net-", i)})
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err == nil {
			in++
		} else {
			require.ErrorIs(t, err, accounts.ErrPasswordsBusy)
		}
	}
	return in
}

func TestFiveHundredLoginsAtOnceTakeTheMemoryOfTheSlots(t *testing.T) { // not parallel: it looks at the heap of the process
	if testing.Short() {
		t.Skip("hashing is slow under -race; run without -short")
	}
	const logins = 500
	p, slots := usual(t, logins)
	debug.FreeOSMemory()
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	before, peak := heap[0].Value.Uint64(), uint64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				metrics.Read(heap)
				peak = max(peak, heap[0].Value.Uint64())
			}
		}
	}()
	in := stampede(t, p, logins)
	close(stop)
	<-done
	t.Logf("%d of %d got in; peak heap %.1f MiB over %.1f MiB, %d slots", in, logins, float64(peak)/(1<<20), float64(before)/(1<<20), slots)
	require.Positive(t, in)
	// What is freed lies about until the collector has run: so twice that and some
	// more. 500 hashes at once would take 9.5 GiB.
	const hash, slack = 19 << 20, 64 << 20
	require.LessOrEqual(t, peak, 2*(before+uint64(slots)*hash)+slack)
}

// TestOtherWorkGoesOnDuringLogins compares a list of courses beside 500 sign-ins
// with one beside nothing, as the reference server collects garbage: by Go's default
// a program whose own heap is small would begin a collection with every hash.
func TestOtherWorkGoesOnDuringLogins(t *testing.T) {
	if os.Getenv("USTAT_TEST_SCALE") == "" {
		t.Skip("timing; run with USTAT_TEST_SCALE")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	const logins = 500
	p, _ := usual(t, logins)
	measure := func(stop <-chan struct{}) (p50, p99 time.Duration) {
		var took []time.Duration
		for {
			select {
			case <-stop:
				slices.Sort(took)
				return took[len(took)/2], took[len(took)*99/100]
			default:
			}
			start := time.Now()
			_, err := p.Courses.List(context.Background(), core.Actor{}, courses.Filter{}, courses.Newest, core.Page{})
			require.NoError(t, err)
			took = append(took, time.Since(start))
			time.Sleep(time.Millisecond)
		}
	}
	quiet := make(chan struct{})
	time.AfterFunc(2*time.Second, func() { close(quiet) })
	alone50, alone99 := measure(quiet)
	loud := make(chan struct{})
	go func() {
		defer close(loud)
		stampede(t, p, logins)
	}()
	beside50, beside99 := measure(loud)
	t.Logf("a list of courses beside 500 sign-ins: p50 %v, alone %v, ratio %.2f; p99 %v, alone %v, ratio %.2f",
		beside50, alone50, float64(beside50)/float64(alone50), beside99, alone99, float64(beside99)/float64(alone99))
	require.LessOrEqual(t, beside50, 2*alone50)
	require.LessOrEqual(t, beside99, 2*alone99)
}
