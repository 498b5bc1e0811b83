package ustat

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/recommend"
	"github.com/ustat/ustat/reviews"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/transfer"
)

// TrainTask is the name of the periodic work that trains the models of recommendations anew,
// every Config.Recommend.TrainEvery, and of the subscriber that does so after an import and when an
// admin asks for it.
const TrainTask = "ustat.train"

// LearningTask is the name of the subscriber by which recommendations follow enrollments and
// bookmarks, and CatalogueTask that of the one by which they follow courses.
const (
	LearningTask  = "ustat.recommend_learning"
	CatalogueTask = "ustat.recommend_courses"
)

const (
	trainTimeout = 6 * time.Hour
	refreshEvery = time.Minute
)

// subscribeRecommendations subscribes what keeps recommendations in step with the rest.
func (p *Platform) subscribeRecommendations() error {
	if p.backend.Recommend == nil {
		return nil
	}
	for _, s := range []tasks.Subscription{
		{Name: LearningTask, Types: []string{
			courses.EventEnrolled, courses.EventPromoted, courses.EventCancelled, courses.EventRefunded, courses.EventCompleted, courses.EventBookmarked,
		}, Handle: p.followLearning},
		{Name: CatalogueTask, Types: []string{
			courses.EventUpdated, courses.EventPublished, courses.EventArchived, courses.EventRestored, courses.EventReassigned, courses.EventDeleted, reviews.EventRated,
		}, Handle: p.followCatalogue},
		{Name: TrainTask, Types: []string{transfer.EventImported, recommend.EventTraining}, Timeout: trainTimeout, Handle: p.trainAfter},
	} {
		if err := p.Subscribe(s); err != nil {
			return err
		}
	}
	return nil
}

// followLearning is the job of what a learner has done.
func (p *Platform) followLearning(ctx context.Context, e core.Event) error {
	var done courses.LearningChanged
	if err := json.Unmarshal(e.Payload, &done); err != nil {
		return tasks.Discard(err)
	}
	if e.Type == courses.EventBookmarked {
		return p.Recommend.FollowBookmark(ctx, e.ID, done.User, done.Course, done.At)
	}
	return p.Recommend.FollowEnrollment(ctx, done.User, done.Course)
}

// followCatalogue is the job of a course that has changed, or whose ratings have: both
// payloads name it.
func (p *Platform) followCatalogue(ctx context.Context, e core.Event) error {
	var changed struct {
		Course courses.CourseID `json:"course"`
	}
	if err := json.Unmarshal(e.Payload, &changed); err != nil {
		return tasks.Discard(err)
	}
	if e.Type == courses.EventDeleted {
		return p.Recommend.ForgetCourse(ctx, changed.Course)
	}
	return p.Recommend.FollowCourse(ctx, changed.Course)
}

// learnedFrom are the files after whose import models are trained anew.
var learnedFrom = []string{"categories.csv", "courses.csv", "enrollments.csv", "reviews.csv"}

// trainAfter is the job of an import, and of an admin's wish.
func (p *Platform) trainAfter(ctx context.Context, e core.Event) error {
	if e.Type == transfer.EventImported {
		var done transfer.Imported
		if err := json.Unmarshal(e.Payload, &done); err != nil {
			return tasks.Discard(err)
		}
		if !slices.Contains(learnedFrom, done.File) {
			return nil
		}
	}
	return p.train(ctx)
}

// trainPeriodically lets a training that is running be.
func (p *Platform) trainPeriodically(ctx context.Context, _ time.Time) error {
	if err := p.train(ctx); !errors.Is(err, recommend.ErrTraining) {
		return err
	}
	return nil
}

func (p *Platform) train(ctx context.Context) error {
	begin := time.Now()
	err := p.Recommend.Train(ctx, func(strategy string, at recommend.Progress) {
		p.config.Logger.DebugContext(ctx, "training", "strategy", strategy, "stage", at.Stage, "done", at.Done, "total", at.Total)
	})
	if err == nil {
		p.config.Logger.InfoContext(ctx, "trained the models of recommendations", "took", time.Since(begin))
	}
	return err
}

// startRecommending reads the kept models, and begins to follow what other processes do. A
// model that cannot be read is no reason not to start.
func (p *Platform) startRecommending(ctx context.Context) error {
	if p.backend.Recommend == nil {
		return nil
	}
	p.refresh(ctx)
	follow, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { p.follow(follow) })
	p.following = func() { cancel(); running.Wait() }
	return nil
}

// follow looks every minute for what other processes have done, until ctx ends. A process that
// works jobs also trains what has no model yet: of a new platform, or of strategies that keep none.
func (p *Platform) follow(ctx context.Context) {
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		p.refresh(ctx)
		if works := p.config.Queue != nil && p.config.TaskConcurrency > 0; p.Recommend.Trained() || !works && p.Recommend.Keeps() {
			continue
		}
		if err := p.train(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, recommend.ErrTraining) {
			p.config.Logger.ErrorContext(ctx, "the models of recommendations could not be trained", "error", err)
		}
	}
}

func (p *Platform) refresh(ctx context.Context) {
	if err := p.Recommend.Refresh(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, recommend.ErrTraining) {
		p.config.Logger.ErrorContext(ctx, "the kept models of recommendations could not be read: the present ones stay", "error", err)
	}
}
