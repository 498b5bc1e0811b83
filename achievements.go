package ustat

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/transfer"
)

// AchievementsTask is the name of the subscriber that awards what the users whom an
// event is about have earned. RecomputeTask is that of the one that awards all users
// what they have earned, after an import or when an admin asks for it.
const (
	AchievementsTask = "ustat.achievements"
	RecomputeTask    = "ustat.achievements_recompute"
)

// subscribeAchievements subscribes what awards achievements, where there are any.
func (p *Platform) subscribeAchievements() error {
	var types []string
	for _, r := range p.config.Achievements {
		if r.Earned != nil {
			types = append(types, r.Types...)
		}
	}
	if len(types) == 0 {
		return nil
	}
	slices.Sort(types)
	if err := p.Subscribe(tasks.Subscription{Name: AchievementsTask, Types: slices.Compact(types), Handle: p.Accounts.Award}); err != nil {
		return err
	}
	return p.Subscribe(tasks.Subscription{
		Name: RecomputeTask, Types: []string{accounts.EventRecompute, transfer.EventImported}, Timeout: time.Hour, Handle: p.recomputeAchievements,
	})
}

func (p *Platform) recomputeAchievements(ctx context.Context, e core.Event) error {
	if e.Type == transfer.EventImported {
		var done transfer.Imported
		if err := json.Unmarshal(e.Payload, &done); err != nil {
			return tasks.Discard(err)
		}
		if !slices.Contains([]string{"courses.csv", "enrollments.csv", "progress.csv"}, done.File) {
			return nil // nobody has earned anything by it
		}
	}
	return p.Accounts.AwardAll(ctx)
}
