package ustat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
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

// The codes of the built-in achievements.
const (
	FirstCourse     = "first_course"
	FiveCourses     = "five_courses"
	SevenDayStreak  = "seven_day_streak"
	HundredStudents = "hundred_students"
)

// BuiltInAchievements returns the rules that every platform has: one course completed,
// five of them, a lesson completed on each of seven days on end (in UTC), and a hundred
// students in the courses that one teaches.
func BuiltInAchievements() []accounts.Rule {
	completed := []string{courses.EventCompleted, courses.EventEnrolled, courses.EventPromoted} // who comes back to a course has completed it again
	return []accounts.Rule{
		{
			Achievement: accounts.Achievement{Code: FirstCourse, Title: "First course", Description: "Completed a course."},
			Types:       completed, About: learner, Earned: atLeast(1, accounts.Facts.CompletedCourses),
		},
		{
			Achievement: accounts.Achievement{Code: FiveCourses, Title: "Five courses", Description: "Completed five courses."},
			Types:       completed, About: learner, Earned: atLeast(5, accounts.Facts.CompletedCourses),
		},
		{
			Achievement: accounts.Achievement{Code: SevenDayStreak, Title: "Seven days on end", Description: "Completed a lesson on each of seven days on end."},
			Types:       []string{courses.EventLessonCompleted}, About: learner, Earned: atLeast(7, accounts.Facts.LongestStreaks),
		},
		{
			Achievement: accounts.Achievement{Code: HundredStudents, Title: "A hundred students", Description: "Has a hundred students in the courses that they teach."},
			Types:       []string{courses.EventEnrolled, courses.EventPromoted, courses.EventReassigned}, About: teacher, Earned: atLeast(100, accounts.Facts.StudentsTaught),
		},
	}
}

// withBuiltIn returns the built-in rules and those of an embedder, which take the place
// of those with their codes.
func withBuiltIn(own []accounts.Rule) []accounts.Rule {
	builtIn := slices.DeleteFunc(BuiltInAchievements(), func(r accounts.Rule) bool {
		return slices.ContainsFunc(own, func(o accounts.Rule) bool { return o.Code == r.Code })
	})
	return append(builtIn, own...)
}

// ownRules returns an error of accounts.CheckRules with the fields of the embedder's rules
// as they are in Config.Achievements, before which there are builtIn others.
func ownRules(err error, builtIn int) error {
	refused, ok := errors.AsType[*core.Error](err)
	if !ok {
		return err
	}
	own := slices.Clone(refused.Violations)
	for i := range own {
		place := strings.TrimPrefix(own[i].Field, "rules")
		number, field, _ := strings.Cut(strings.TrimPrefix(place, "["), "]")
		if n, err := strconv.Atoi(number); err == nil {
			place = fmt.Sprintf("[%d]%s", n-builtIn, field)
		}
		own[i].Field = "Achievements" + place
	}
	return core.ErrInvalid.With(own...)
}

// learner and teacher return whom an event is about: courses.LearningChanged has both,
// courses.Changed the teacher.
func learner(e core.Event) []core.UserID {
	var changed courses.LearningChanged
	if json.Unmarshal(e.Payload, &changed) != nil || changed.User == 0 {
		return nil
	}
	return []core.UserID{changed.User}
}

func teacher(e core.Event) []core.UserID {
	var changed struct {
		Teacher core.UserID `json:"teacher"`
	}
	if json.Unmarshal(e.Payload, &changed) != nil || changed.Teacher == 0 {
		return nil
	}
	return []core.UserID{changed.Teacher}
}

// atLeast returns those of the users of whom there is so much.
func atLeast(least int, count func(accounts.Facts, context.Context, []core.UserID) (map[core.UserID]int, error)) func(context.Context, []core.UserID, accounts.Facts) ([]core.UserID, error) {
	return func(ctx context.Context, users []core.UserID, facts accounts.Facts) ([]core.UserID, error) {
		counts, err := count(facts, ctx, users)
		return slices.DeleteFunc(slices.Clone(users), func(id core.UserID) bool { return counts[id] < least }), err
	}
}
