package recommend

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// Train trains the model of every strategy anew while the present one serves, swaps it in,
// and keeps it where the strategy is a Loader and there is a Store. A model that could not be
// kept serves all the same until the process ends; the kept one stays whole. It fails with
// ErrTraining while another training of this process runs, and as Live.Train does.
func (s *Service) Train(ctx context.Context, report func(strategy string, p Progress)) error {
	ctx = core.WithOperation(ctx, "recommend.Train")
	var errs []error
	for _, a := range s.arms {
		errs = append(errs, s.train(ctx, a, report))
	}
	return errors.Join(errs...)
}

func (s *Service) train(ctx context.Context, a *arm, report func(strategy string, p Progress)) error {
	name := a.strategy.Name()
	began := core.Time(s.c.Clock.Now())
	err := a.live.Train(ctx, a.strategy, s.c.Catalogue, func(p Progress) {
		if report != nil {
			report(name, p)
		}
	})
	if err != nil {
		return err
	}
	if err := fault.Hit("recommend.train.after_swap"); err != nil {
		return err
	}
	s.mu.Lock()
	a.began = began
	if s.refreshed.After(began) { // what other processes took back meanwhile may have been read before
		s.refreshed = began
	}
	s.mu.Unlock()
	saver, saves := a.live.Model().(Saver)
	if _, loads := a.strategy.(Loader); !saves || !loads || s.c.Store == nil {
		return nil
	}
	kept, err := s.save(ctx, name, began, saver)
	if err == nil {
		s.mu.Lock()
		a.kept = kept
		s.mu.Unlock()
	}
	return err
}

// Keeps reports whether models outlive the process: whether there is a place for them and
// every strategy can read its own.
func (s *Service) Keeps() bool {
	for _, a := range s.arms {
		if _, loads := a.strategy.(Loader); !loads {
			return false
		}
	}
	return s.c.Store != nil
}

// Trained reports whether every strategy has a model that serves.
func (s *Service) Trained() bool {
	for _, a := range s.arms {
		if a.live.Model() == nil {
			return false
		}
	}
	return true
}

// save keeps a model: its chunks, each in a transaction of its own, and then, in one, the row
// that makes them the kept model.
func (s *Service) save(ctx context.Context, strategy string, began time.Time, m Saver) (uuid.UUID, error) {
	w := &chunkWriter{ctx: ctx, store: s.c.Store, clock: s.c.Clock, id: uuid.Must(uuid.NewV7())}
	if err := m.Save(w); err != nil {
		return uuid.Nil, err
	}
	if err := w.flush(); err != nil {
		return uuid.Nil, err
	}
	if err := fault.Hit("recommend.save.after_chunks"); err != nil {
		return uuid.Nil, err
	}
	kept := KeptModel{Strategy: strategy, ID: w.id, Chunks: w.n, Size: w.size, BeganAt: began, SavedAt: core.Time(s.c.Clock.Now())}
	err := s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.SetModel(ctx, kept)
		return err
	})
	return w.id, err
}

// chunkWriter keeps what is written to it in chunks.
type chunkWriter struct {
	ctx    context.Context
	store  Store
	clock  core.Clock
	id     uuid.UUID
	buffer []byte
	n      int
	size   int64
}

// Write implements io.Writer.
func (w *chunkWriter) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := min(len(p), MaxChunk-len(w.buffer))
		w.buffer, p = append(w.buffer, p[:n]...), p[n:]
		if len(w.buffer) == MaxChunk {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return written, nil
}

func (w *chunkWriter) flush() error {
	if len(w.buffer) == 0 {
		return nil
	}
	at := core.Time(w.clock.Now())
	err := w.store.Update(w.ctx, func(ctx context.Context, tx Tx) error { return tx.AddModelChunk(ctx, w.id, w.n, w.buffer, at) })
	if err != nil {
		return err
	}
	w.n, w.size, w.buffer = w.n+1, w.size+int64(len(w.buffer)), w.buffer[:0]
	return fault.Hit("recommend.save.after_chunk")
}

// chunkReader reads what was kept in chunks.
type chunkReader struct {
	ctx   context.Context
	store Store
	kept  KeptModel
	n     int
	left  []byte
}

// Read implements io.Reader. A chunk that is gone ends it early: another model was kept meanwhile.
func (r *chunkReader) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		if r.n == r.kept.Chunks {
			return 0, io.EOF
		}
		data, err := r.store.ModelChunk(r.ctx, r.kept.ID, r.n)
		if errors.Is(err, ErrNoModel) {
			return 0, io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		r.left, r.n = data, r.n+1
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// overlap is how far back a look for what was taken back reaches beyond the last one, since a
// transaction writes its time before it commits.
const overlap = time.Minute

// Refresh takes over what other processes have done: kept models that are newer than those
// that serve, courses that were published, and learners whose trace is to be gone. It is
// called when a process starts and every minute. A kept model that is broken, or of another
// version, is refused once with its error, and the present one stays.
func (s *Service) Refresh(ctx context.Context) error {
	ctx = core.WithOperation(ctx, "recommend.Refresh")
	if s.c.Store == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := core.Time(s.c.Clock.Now())
	since := s.refreshed
	if since.IsZero() {
		since = now
	}
	var errs []error
	for _, a := range s.arms {
		changed, err := s.reload(ctx, a)
		errs = append(errs, err)
		if changed && a.began.Before(since) {
			since = a.began
		}
	}
	since = since.Add(-overlap)
	if err := s.tellNewest(ctx, since); err != nil {
		return errors.Join(append(errs, err)...)
	}
	if err := s.tellRemovals(ctx, since); err != nil {
		return errors.Join(append(errs, err)...)
	}
	s.refreshed = now
	return errors.Join(errs...)
}

// reload reads the kept model of a strategy where it is another one than the last, and reports whether it
// serves now.
func (s *Service) reload(ctx context.Context, a *arm) (bool, error) {
	loader, ok := a.strategy.(Loader)
	if !ok {
		return false, nil
	}
	kept, err := s.c.Store.Model(ctx, a.strategy.Name())
	switch {
	case errors.Is(err, ErrNoModel):
		return false, nil
	case err != nil:
		return false, err
	case kept.ID == a.kept:
		return false, nil
	case kept.BeganAt.Before(a.began): // an older one than was trained here
		a.kept = kept.ID
		return false, nil
	}
	err = a.live.Load(loader, &chunkReader{ctx: ctx, store: s.c.Store, kept: kept})
	if errors.Is(err, ErrForeignModel) || errors.Is(err, ErrBrokenModel) {
		a.kept = kept.ID // it gets no better by another look
	}
	if err != nil {
		return false, err
	}
	a.kept, a.began = kept.ID, kept.BeganAt
	return true, nil
}

// tellNewest tells the models of courses that another process may have published since a time.
func (s *Service) tellNewest(ctx context.Context, since time.Time) error {
	items, err := s.c.Catalogue.Newest(ctx)
	for _, item := range items {
		if item.Published.Before(since) {
			continue
		}
		for _, a := range s.arms {
			if err := a.live.Put(item); err != nil {
				return err
			}
		}
	}
	return err
}

// tellRemovals tells the models what was taken back since a time.
func (s *Service) tellRemovals(ctx context.Context, since time.Time) error {
	const page = 1000
	for after := Position(0); ; {
		list, next, err := s.c.Store.Removals(ctx, since, after, page)
		if err != nil {
			return err
		}
		for _, r := range list {
			for _, a := range s.arms {
				if r.Course == 0 {
					a.live.Forget(r.User)
				} else {
					a.live.Withdraw(r.User, r.Course)
				}
			}
		}
		if after = next; len(list) < page {
			return nil
		}
	}
}

// RequestTraining asks for a training as soon as there is a worker. Only an admin may.
func (s *Service) RequestTraining(ctx context.Context, by core.Actor) error {
	ctx = core.WithOperation(ctx, "recommend.RequestTraining")
	switch {
	case by.IsAnonymous():
		return core.ErrUnauthenticated
	case !by.IsAdmin():
		return core.ErrForbidden
	case s.c.Store == nil:
		return ErrNotSetUp
	}
	now := core.Time(s.c.Clock.Now())
	return s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.Audit(ctx, core.AuditEntry{Actor: by.UserID, Action: EventTraining, Subject: "recommend", At: now}); err != nil {
			return err
		}
		return tx.Emit(ctx, core.NewEvent(EventTraining, "recommend", by, now, json.RawMessage("{}")))
	})
}

// Cleanup removes up to limit chunks of models whose saving was cut a day ago, and up to limit
// removals that every kept model has seen, and returns how many of that of which there were more.
func (s *Service) Cleanup(ctx context.Context, now time.Time, limit int) (n int, err error) {
	if s.c.Store == nil {
		return 0, nil
	}
	const day = 24 * time.Hour
	err = s.c.Store.Update(ctx, func(ctx context.Context, tx Tx) error {
		chunks, err := tx.ForgetChunks(ctx, now.Add(-day), limit)
		if err != nil {
			return err
		}
		removals, err := tx.ForgetRemovals(ctx, now.Add(-max(30*day, 3*s.c.TrainEvery)), limit)
		n = max(chunks, removals)
		return err
	})
	return n, err
}
