package ustat

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
)

// MainShard is the name of the shard of analytics that is in the main database.
const MainShard = "main"

// openRouter makes the router of analytics, where there is a shard.
func (p *Platform) openRouter() (err error) {
	c := &p.config
	if c.Shards == nil && p.backend.Analytics != nil {
		c.Shards = map[string]analytics.Shard{MainShard: p.backend.Analytics}
	}
	if len(c.Shards) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(c.Shards))
	switch {
	case c.ShardStrategy != nil:
	case p.backend.Shards != nil:
		c.ShardStrategy, err = analytics.NewDirectory(p.backend.Shards, names...)
	case len(names) == 1:
		c.ShardStrategy, err = analytics.NewJumpHash(names...)
	default:
		err = core.Invalid("ShardStrategy", "required", "", "", "the storage keeps no map of several shards: a strategy is needed")
	}
	if err != nil {
		return err
	}
	options := c.Analytics
	options.ManualMigrations = c.ManualMigrations
	if options.OnLost == nil {
		options.OnLost = func(shard string, events int, err error) {
			c.Logger.Error("events of analytics were lost", "shard", shard, "events", events, "error", err)
		}
	}
	p.router, err = analytics.NewRouter(c.Shards, c.ShardStrategy, c.Clock, options)
	return err
}

// closeShards writes the events that wait, until ctx ends, and closes the shards.
func (p *Platform) closeShards(ctx context.Context) error {
	if p.router == nil {
		return nil
	}
	errs := []error{p.router.Close(ctx)}
	for _, shard := range p.config.Shards {
		errs = append(errs, shard.Close())
	}
	return errors.Join(errs...)
}
