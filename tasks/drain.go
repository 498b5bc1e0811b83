package tasks

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ustat/ustat/core"
)

// DrainLimit is how many attempts one Drain makes.
const DrainLimit = 10_000

// Drain does, on a Runner that is not started, all that is due by its clock, for
// tests: it asks for the work of the periods that have begun, delivers the events of
// all sources, and works the jobs, one after the other in the order in which they are
// due, until nothing is due, what they set in motion included. Nothing is waited for
// but handlers: what is due later, as after a failure, is left for a later Drain. Waits
// after a failure are without chance.
//
// The queue is a Memory that nobody works at. It fails with core.ErrInvalid for
// another, with ctx's error, with what a store or the queue fails with, and with
// core.ErrFailedPrecondition naming the kinds of jobs after DrainLimit attempts, as
// where jobs set each other in motion for ever. A job that fails is no error of Drain.
// It is called from one goroutine at a time, and not by handlers.
func (r *Runner) Drain(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	queue, ok := r.config.Queue.(*Memory)
	switch {
	case !ok:
		return core.Invalid("Queue", "memory", "", fmt.Sprintf("%T", r.config.Queue), "only a queue in memory can be drained")
	case r.started || r.stopped:
		return core.ErrFailedPrecondition.Withf("a runner that was started is not drained")
	}
	r.config.Registry.seal()
	attempter := r.attempter()
	attempter.jitter = func(time.Duration) time.Duration { return 0 }
	relays, schedule := r.relays(), r.schedule()
	attempts := map[string]int{}
	for made := 0; ; made++ {
		if err := schedule.ask(ctx); err != nil {
			return err
		}
		for _, relay := range relays {
			if err := relay.drain(ctx); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		job, due := queue.take()
		if !due {
			return nil
		}
		if made == DrainLimit {
			queue.finish(job, Outcome{Result: Postponed})
			return core.ErrFailedPrecondition.Withf("jobs are due still after %d attempts, at jobs of the kinds %s", made, mostOf(attempts))
		}
		attempts[job.Kind]++
		queue.finish(job, attempter.do(ctx, job))
	}
}

// mostOf names up to five keys, those with most first.
func mostOf(counts map[string]int) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	names = names[:min(len(names), 5)]
	for i, name := range names {
		names[i] = fmt.Sprintf("%s (%d)", name, counts[name])
	}
	return strings.Join(names, ", ")
}
