package shardstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/storage/internal/sqlstore"
)

// partitions makes and drops the months of raw events. A nil one does nothing: there the
// events are one table.
type partitions struct {
	db    *sqlstore.DB
	mu    sync.Mutex
	known map[int]bool // by monthOf
}

// monthOf counts months from the year 0.
func monthOf(t time.Time) int { return t.Year()*12 + int(t.Month()) - 1 }

func startOf(month int) time.Time {
	return time.Date(month/12, time.Month(month%12+1), 1, 0, 0, 0, 0, time.UTC)
}

func partitionName(month int) string {
	return fmt.Sprintf("ustat_analytics_events_y%04dm%02d", month/12, month%12+1)
}

// prepare makes the months of events that there are not. Events lie between
// analytics.Earliest and a day ahead, so their number is bounded.
func (p *partitions) prepare(ctx context.Context, list []analytics.Event) error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var missing []int
	for i := range list {
		if m := monthOf(list[i].OccurredAt); !p.known[m] {
			p.known[m] = true
			missing = append(missing, m)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	err := p.db.Update(ctx, "analytics", func(ctx context.Context, tx *sqlstore.Tx) error {
		if _, err := tx.Session().Exec(ctx, p.db.MigrationLock()); err != nil {
			return err
		}
		for _, m := range missing {
			query := "CREATE TABLE IF NOT EXISTS " + partitionName(m) + " PARTITION OF ustat_analytics_events FOR VALUES FROM ('" +
				startOf(m).Format(time.RFC3339) + "') TO ('" + startOf(m+1).Format(time.RFC3339) + "')"
			if err := tx.WriteSQL(ctx, query); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		for _, m := range missing {
			delete(p.known, m)
		}
	}
	return err
}

// drop drops the months that end at a time or before it.
func (p *partitions) drop(ctx context.Context, before time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.known)
	return p.db.Update(ctx, "analytics", func(ctx context.Context, tx *sqlstore.Tx) error {
		if _, err := tx.Session().Exec(ctx, p.db.MigrationLock()); err != nil {
			return err
		}
		for m := monthOf(analytics.Earliest); !startOf(m + 1).After(before); m++ {
			if err := tx.WriteSQL(ctx, "DROP TABLE IF EXISTS "+partitionName(m)); err != nil {
				return err
			}
		}
		return nil
	})
}
