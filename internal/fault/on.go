//go:build ustat_fault

package fault

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Enabled reports whether the program was built with the tag ustat_fault.
const Enabled = true

// maxHits bounds what is remembered of the points that were passed.
const maxHits = 10_000

var (
	mu    sync.Mutex
	armed *Plan
	hits  []string
)

// env is read before any point can be hit.
var _ = func() bool {
	text := os.Getenv("USTAT_FAULT")
	if text == "" {
		return true
	}
	plan, err := Parse(text)
	if err == nil {
		err = Arm(plan)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return true
}()

// Arm sets the one fault of the process and forgets what was hit before. A point
// or a mode that there is not is an error.
func Arm(p Plan) error {
	if p.Point != "" {
		if err := p.check(); err != nil {
			return err
		}
	}
	mu.Lock()
	defer mu.Unlock()
	armed, hits = &p, nil
	return nil
}

// Disarm takes the fault back and returns the points that were hit since Arm, in
// order, the first 10,000 of them.
func Disarm() []string {
	mu.Lock()
	defer mu.Unlock()
	was := hits
	armed, hits = nil, nil
	return was
}

// Hit passes a point. It does what the armed plan says, which is once and mostly
// nothing.
func Hit(point string) error {
	plan, fires := pass(point)
	if !fires {
		return nil
	}
	switch plan.Mode {
	case Error:
		return ErrInjected
	case Panic:
		panic(ErrInjected)
	case Sleep:
		if plan.Sleep == 0 {
			plan.Sleep = 100 * time.Millisecond
		}
		time.Sleep(plan.Sleep)
	case Cancel:
		if plan.Cancel == nil {
			plan.Cancel = func() { signal(syscall.SIGTERM) }
		}
		plan.Cancel()
	case Kill:
		signal(os.Kill)
		time.Sleep(time.Hour) // until it has come
	}
	return nil
}

func pass(point string) (Plan, bool) {
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(Points, point) {
		panic("fault: " + point + " is missing in Points")
	}
	if len(hits) < maxHits {
		hits = append(hits, point)
	}
	if armed == nil || armed.Point != point {
		return Plan{}, false
	}
	if armed.Nth > 1 {
		armed.Nth--
		return Plan{}, false
	}
	plan := *armed
	armed.Point = ""
	return plan, true
}

func signal(s os.Signal) {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(s)
	}
	if err != nil {
		panic(err)
	}
}
