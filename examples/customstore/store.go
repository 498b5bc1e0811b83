package main

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/core/memtx"
	"github.com/ustat/ustat/reports"
)

// shelf is the state of the store: reports by id.
type shelf map[uuid.UUID]reports.Report

// store is a reports.Store in memory. What it has of its own is below: reads of a shelf
// and writes to one. Transactions and the outbox are memtx's.
type store struct{ *memtx.DB[shelf] }

func newStore() store {
	return store{memtx.New(memtx.Config[shelf]{State: shelf{}, Copy: maps.Clone[shelf]})}
}

// Update implements reports.Store.
func (s store) Update(ctx context.Context, fn func(ctx context.Context, tx reports.Tx) error) error {
	return s.DB.Update(ctx, func(ctx context.Context, t *memtx.Tx[shelf]) error { return fn(ctx, tx{t}) })
}

// ReportByID implements reports.Reader.
func (s store) ReportByID(ctx context.Context, id uuid.UUID) (reports.Report, error) {
	rows, err := s.State(ctx)
	if err != nil {
		return reports.Report{}, err
	}
	return rows.byID(id)
}

// ExpiredReports implements reports.Reader.
func (s store) ExpiredReports(ctx context.Context, before time.Time, limit int) ([]reports.Report, error) {
	rows, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	return rows.expired(before, limit), nil
}

func (rows shelf) byID(id uuid.UUID) (reports.Report, error) {
	r, there := rows[id]
	if !there {
		return reports.Report{}, reports.ErrReportNotFound
	}
	return copied(r), nil
}

// expired looks at every report: a store of more of them would keep them in order.
func (rows shelf) expired(before time.Time, limit int) []reports.Report {
	var found []reports.Report
	for _, r := range rows {
		if r.ExpiresAt.Before(core.Time(before)) {
			found = append(found, copied(r))
		}
	}
	slices.SortFunc(found, func(a, b reports.Report) int {
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return found[:min(limit, len(found))]
}

// copied returns a report that shares nothing with the one it is given, as it is stored.
func copied(r reports.Report) reports.Report {
	r.Files = slices.Clone(r.Files)
	r.CreatedAt, r.ExpiresAt = core.Time(r.CreatedAt), core.Time(r.ExpiresAt)
	if !r.FinishedAt.IsZero() {
		r.FinishedAt = core.Time(r.FinishedAt)
	}
	r.Token, r.TokenExpires = "", time.Time{}
	return r
}

// tx is a reports.Tx.
type tx struct{ *memtx.Tx[shelf] }

// ReportByID implements reports.Reader.
func (t tx) ReportByID(_ context.Context, id uuid.UUID) (reports.Report, error) {
	rows, err := t.State()
	if err != nil {
		return reports.Report{}, err
	}
	return rows.byID(id)
}

// ReportForUpdate implements reports.Tx: writers take turns, so nobody else changes it.
func (t tx) ReportForUpdate(ctx context.Context, id uuid.UUID) (reports.Report, error) {
	return t.ReportByID(ctx, id)
}

// ExpiredReports implements reports.Reader.
func (t tx) ExpiredReports(_ context.Context, before time.Time, limit int) ([]reports.Report, error) {
	rows, err := t.State()
	if err != nil {
		return nil, err
	}
	return rows.expired(before, limit), nil
}

// InsertReports implements reports.Tx. All are looked at before one is written.
func (t tx) InsertReports(_ context.Context, list ...reports.Report) error {
	rows, err := t.State()
	if err != nil {
		return err
	}
	seen := map[uuid.UUID]bool{}
	for _, r := range list {
		if err := t.check(r); err != nil {
			return err
		}
		if _, there := (*rows)[r.ID]; there || seen[r.ID] {
			return core.ErrConflict.Withf("a report with that id is there already")
		}
		seen[r.ID] = true
	}
	for _, r := range list {
		(*rows)[r.ID] = copied(r)
	}
	return nil
}

// UpdateReport implements reports.Tx.
func (t tx) UpdateReport(_ context.Context, r reports.Report) error {
	rows, err := t.State()
	if err != nil {
		return err
	}
	if err := t.check(r); err != nil {
		return err
	}
	stored, there := (*rows)[r.ID]
	if !there {
		return reports.ErrReportNotFound
	}
	stored.State, stored.Files, stored.Rows, stored.Code = r.State, r.Files, r.Rows, r.Code
	stored.FinishedAt, stored.ExpiresAt = r.FinishedAt, r.ExpiresAt
	(*rows)[r.ID] = copied(stored)
	return nil
}

// DeleteReports implements reports.Tx.
func (t tx) DeleteReports(_ context.Context, ids ...uuid.UUID) (int, error) {
	rows, err := t.State()
	if err != nil {
		return 0, err
	}
	before := len(*rows)
	for _, id := range ids {
		delete(*rows, id)
	}
	return before - len(*rows), nil
}

// check refuses what a database would refuse. After a state that there is not the Update
// fails, as the contract of every store has it for what a constraint forbids.
func (t tx) check(r reports.Report) error {
	for _, text := range []string{r.Kind, r.Format, r.Code, string(r.Filter.Status)} {
		if !core.ValidText(text) {
			return core.Invalid("text", "text", "", text, "valid UTF-8 without NUL is expected")
		}
	}
	if !slices.Contains(reports.States[:], r.State) {
		return t.Fail(core.Invalid("state", "oneof", "", string(r.State), "there is no such state"))
	}
	return nil
}

var _ reports.Store = store{}
