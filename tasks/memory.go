package tasks

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ustat/ustat/core"
)

// MemoryCapacity is how many jobs a Memory holds, finished ones included.
const MemoryCapacity = 200_000

// Memory is a Queue in the memory of this process, for tests: what it holds goes
// with the process. Beyond MemoryCapacity jobs, Insert fails with
// core.ErrUnavailable.
type Memory struct {
	clock core.Clock

	mu      sync.Mutex
	jobs    map[int64]*Job
	keys    map[string]int64
	last    int64
	waiting map[int64]*Job // those in the state Waiting
	started bool
	closed  bool
	wake    chan struct{}
	quit    chan struct{}
	hard    context.CancelFunc
	workers sync.WaitGroup
}

// NewMemory returns an empty queue. Jobs are due by the clock; nil means the
// machine's.
func NewMemory(clock core.Clock) *Memory {
	return &Memory{
		clock: cmp.Or[core.Clock](clock, core.SystemClock{}), jobs: map[int64]*Job{}, waiting: map[int64]*Job{}, keys: map[string]int64{},
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
	}
}

// Migrate implements Queue.
func (m *Memory) Migrate(context.Context) error { return m.open() }

// Check implements Queue.
func (m *Memory) Check(context.Context) error { return m.open() }

func (m *Memory) open() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.usable()
}

func (m *Memory) usable() error {
	if m.closed {
		return core.ErrClosed
	}
	return nil
}

// Insert implements Queue.
func (m *Memory) Insert(ctx context.Context, jobs ...Insert) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	whole := make([]Insert, len(jobs))
	for i, j := range jobs {
		var err error
		if whole[i], err = j.WithDefaults(); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(); err != nil {
		return err
	}
	if len(m.jobs)+len(jobs) > MemoryCapacity {
		return core.ErrUnavailable.Withf("the queue in memory holds %d jobs: it is full", len(m.jobs))
	}
	now := core.Time(m.clock.Now())
	for _, j := range whole {
		if _, known := m.keys[j.Key]; known {
			continue
		}
		m.last++
		runAt := now
		if j.RunAt.After(now) {
			runAt = core.Time(j.RunAt)
		}
		m.keys[j.Key] = m.last
		m.jobs[m.last] = &Job{
			ID: m.last, Kind: j.Kind, Key: j.Key, Version: j.Version, Args: slices.Clone(j.Args), State: Waiting,
			MaxAttempts: j.MaxAttempts, Timeout: j.Timeout, CreatedAt: now, RunAt: runAt,
		}
		m.waiting[m.last] = m.jobs[m.last]
	}
	m.nudge()
	return nil
}

func (m *Memory) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Start implements Queue.
func (m *Memory) Start(_ context.Context, work Work) error {
	if err := work.Check(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(); err != nil {
		return err
	}
	if m.started {
		return core.ErrFailedPrecondition.Withf("a queue is started once")
	}
	m.started = true
	var ctx context.Context
	ctx, m.hard = context.WithCancel(context.Background())
	for range work.Concurrency {
		m.workers.Go(func() { m.work(ctx, work.Do) })
	}
	return nil
}

// memoryPoll is how often the clock is looked at, which may be a test's.
const memoryPoll = 5 * time.Millisecond

func (m *Memory) work(ctx context.Context, do func(ctx context.Context, job Job) Outcome) {
	for {
		job, ok := m.take()
		if !ok {
			timer := time.NewTimer(memoryPoll)
			select {
			case <-m.quit:
				timer.Stop()
				return
			case <-m.wake:
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		m.finish(job, do(ctx, job))
	}
}

// take begins an attempt at the oldest job that is due.
func (m *Memory) take() (Job, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || len(m.waiting) == 0 {
		return Job{}, false
	}
	now := m.clock.Now()
	var first *Job
	for _, j := range m.waiting {
		if j.RunAt.After(now) {
			continue
		}
		if first == nil || j.RunAt.Before(first.RunAt) || (j.RunAt.Equal(first.RunAt) && j.ID < first.ID) {
			first = j
		}
	}
	if first == nil {
		return Job{}, false
	}
	first.State = Running
	first.Attempt++
	delete(m.waiting, first.ID)
	if len(m.waiting) > 0 {
		m.nudge()
	}
	return first.clone(), true
}

func (m *Memory) finish(job Job, o Outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.jobs[job.ID]
	now := core.Time(m.clock.Now())
	if o.Error != "" {
		j.Failures = append(j.Failures, Failure{At: now, Attempt: j.Attempt, Error: o.Error})
	}
	switch {
	case o.Result == Succeeded:
		j.State, j.FinishedAt = Done, now
		return
	case o.Result == Refused, o.Result == Failed && j.Attempt >= j.MaxAttempts:
		j.State, j.FinishedAt = Discarded, now
		return
	case o.Result == Postponed:
		j.Attempt--
	}
	j.State, j.RunAt = Waiting, core.Time(now.Add(o.After))
	m.waiting[j.ID] = j
}

// Stop implements Queue.
func (m *Memory) Stop(ctx context.Context) error {
	m.mu.Lock()
	closed, started := m.closed, m.started
	m.closed = true
	m.mu.Unlock()
	if closed || !started {
		return nil
	}
	close(m.quit)
	defer m.hard()
	ended := make(chan struct{})
	go func() {
		m.workers.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	m.hard()
	<-ended // Do returns soon after its context has ended
	return nil
}

// List implements Queue.
func (m *Memory) List(_ context.Context, q JobQuery) ([]Job, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(); err != nil {
		return nil, err
	}
	var out []Job
	for id := m.last; id > 0 && len(out) < q.Limit; id-- {
		j := m.jobs[id]
		if j == nil || (q.Before > 0 && id >= q.Before) || (q.State != "" && j.State != q.State) || (q.Kind != "" && j.Kind != q.Kind) {
			continue
		}
		out = append(out, j.clone())
	}
	return out, nil
}

// Get implements Queue.
func (m *Memory) Get(_ context.Context, id int64) (Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(); err != nil {
		return Job{}, err
	}
	j := m.jobs[id]
	if j == nil {
		return Job{}, ErrJobNotFound
	}
	return j.clone(), nil
}

// Retry implements Queue.
func (m *Memory) Retry(_ context.Context, id int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(); err != nil {
		return err
	}
	j := m.jobs[id]
	switch {
	case j == nil:
		return ErrJobNotFound
	case j.State == Running || j.State == Done:
		return ErrNotRetryable
	case j.State == Discarded:
		m.waiting[j.ID] = j
		j.MaxAttempts = max(j.MaxAttempts, j.Attempt+1)
	}
	j.State, j.FinishedAt, j.RunAt = Waiting, time.Time{}, core.Time(m.clock.Now())
	m.nudge()
	return nil
}

// Cleanup implements Queue.
func (m *Memory) Cleanup(_ context.Context, before time.Time, limit int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(); err != nil {
		return 0, err
	}
	n := 0
	for id, j := range m.jobs {
		if n < limit && !j.FinishedAt.IsZero() && j.FinishedAt.Before(before) {
			delete(m.jobs, id)
			delete(m.keys, j.Key)
			n++
		}
	}
	return n, nil
}

func (j *Job) clone() Job {
	c := *j
	c.Args, c.Failures = slices.Clone(j.Args), slices.Clone(j.Failures)
	return c
}

// Check returns core.ErrInvalid for a query out of its bounds. Queues call it.
func (q JobQuery) Check() error {
	if q.State != "" && !slices.Contains(States[:], q.State) {
		return core.Invalid("state", "oneof", "waiting running done discarded", string(q.State), "there is no such state of a job")
	}
	if q.Limit < 1 || q.Limit > 1000 {
		return core.Invalid("limit", "range", "1-1000", strconv.Itoa(q.Limit), "a page has 1 to 1,000 jobs")
	}
	return nil
}
