package accounts

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/internal/fault"
)

// Achievement is what users can achieve.
type Achievement struct {
	// Code is by which it is stored and translated, for ever: 1 to 64 of a-z, 0-9, _
	// and ., such as "first_course".
	Code        string
	Title       string // one line of at most 100 characters
	Description string // at most 500 characters
}

// Award says that a user has an achievement. There is one a user and code, and it is
// never taken back.
type Award struct {
	User core.UserID
	Code string
	At   time.Time
}

// Achieved is an achievement and when somebody was awarded it: zero where they were
// not.
type Achieved struct {
	Achievement
	At time.Time
}

// Rule says who has earned an achievement. Its functions must be safe for concurrent
// use, and compare what is stored now with fixed bounds, so that it does not matter
// how often, and in what order, they are asked.
type Rule struct {
	Achievement
	// Types are the events, of version 1, after which the rule is asked about the users
	// whom About names. About may name anybody, of whom those who do not exist are left
	// out; where the event cannot be read, it returns nobody.
	Types []string
	About func(e core.Event) []core.UserID
	// Earned returns those of at most MaxEarned users who have earned it by now, by a
	// fixed number of statements. A nil one is of an achievement that is awarded no
	// more: who has it keeps it.
	Earned func(ctx context.Context, users []core.UserID, facts Facts) ([]core.UserID, error)
}

// Facts is what rules ask of courses. Each counts what is stored now for at most
// MaxEarned users by one statement, and leaves out who has nothing to count.
type Facts interface {
	// CompletedCourses counts the courses that each user has completed and still takes.
	CompletedCourses(ctx context.Context, users []core.UserID) (map[core.UserID]int, error)
	// LongestStreaks returns the greatest number of days on end, in UTC, on each of
	// which a user has completed a lesson.
	LongestStreaks(ctx context.Context, users []core.UserID) (map[core.UserID]int, error)
	// StudentsTaught adds up the students of the courses of each teacher: who takes two
	// of them counts twice.
	StudentsTaught(ctx context.Context, teachers []core.UserID) (map[core.UserID]int, error)
}

// The bounds of achievements.
const (
	MaxRules  = 100 // of a platform
	MaxEarned = 500 // users that a rule is asked about at once
)

// The events of achievements.
const (
	// EventAwarded has the subject "user/" and a username, and the payload [Awarded].
	EventAwarded = "accounts.achievement_awarded"
	// EventRecompute asks for AwardAll.
	EventRecompute = "accounts.achievements_recompute"
)

// Awarded is the payload of EventAwarded.
type Awarded struct {
	User core.UserID `json:"user"`
	Code string      `json:"code"`
	At   time.Time   `json:"at"`
}

// CheckRules returns core.ErrInvalid, naming each bad field, for rules that are out of
// bounds.
func CheckRules(rules []Rule) error {
	var bad []core.Violation
	refuse := func(i int, field, code, limit, value string) {
		bad = append(bad, core.Invalid("rules["+strconv.Itoa(i)+"]."+field, code, limit, value, "this is no achievement that can be kept").Violations...)
	}
	if len(rules) > MaxRules {
		return core.Invalid("rules", "max", strconv.Itoa(MaxRules), strconv.Itoa(len(rules)), "there are too many achievements")
	}
	seen := map[string]bool{}
	for i, r := range rules {
		if r.Code == "" || len(r.Code) > 64 || strings.Trim(r.Code, "abcdefghijklmnopqrstuvwxyz0123456789_.") != "" {
			refuse(i, "code", "code", "64", r.Code)
		}
		if seen[r.Code] {
			refuse(i, "code", "taken", "", r.Code)
		}
		seen[r.Code] = true
		if !core.IsLine(r.Title) || utf8.RuneCountInString(r.Title) > 100 {
			refuse(i, "title", "line", "100", r.Title)
		}
		if !core.ValidText(r.Description) || utf8.RuneCountInString(r.Description) > 500 {
			refuse(i, "description", "max", "500", r.Description)
		}
		if r.Earned != nil && (len(r.Types) == 0 || r.About == nil) {
			refuse(i, "types", "required", "", "")
		}
	}
	if len(bad) > 0 {
		return core.ErrInvalid.With(bad...)
	}
	return nil
}

// Achievements returns all that there are, in the order of the rules, each with when
// the actor was awarded it. Those that are awarded no more are left out, unless the
// actor has them. Everyone may ask. One statement for who is signed in, none else.
func (s *Service) Achievements(ctx context.Context, by core.Actor) ([]Achieved, error) {
	ctx = core.WithOperation(ctx, "accounts.Achievements")
	var had map[core.UserID][]Award
	if !by.IsAnonymous() {
		var err error
		if had, err = awardsOf(ctx, s.store, []core.UserID{by.UserID}); err != nil {
			return nil, err
		}
	}
	at := map[string]time.Time{}
	for _, a := range had[by.UserID] {
		at[a.Code] = a.At
	}
	all := make([]Achieved, 0, len(s.rules))
	for _, r := range s.rules {
		if when := at[r.Code]; r.Earned != nil || !when.IsZero() {
			all = append(all, Achieved{r.Achievement, when})
		}
	}
	return all, nil
}

func awardsOf(ctx context.Context, r AwardReader, users []core.UserID) (map[core.UserID][]Award, error) {
	list, err := r.AwardsOf(ctx, users)
	byUser := make(map[core.UserID][]Award, len(users))
	for _, a := range list {
		byUser[a.User] = append(byUser[a.User], a)
	}
	return byUser, err
}

// withAchievements adds what the users of profiles have achieved, by one statement. An
// award of which no rule is known is kept, and not shown.
func (s *Service) withAchievements(ctx context.Context, r AwardReader, profiles ...*PublicProfile) error {
	ids := make([]core.UserID, len(profiles))
	for i, p := range profiles {
		ids[i] = p.UserID
	}
	had, err := awardsOf(ctx, r, ids)
	for _, p := range profiles {
		for _, a := range had[p.UserID] {
			if i := slices.IndexFunc(s.rules, func(r Rule) bool { return r.Code == a.Code }); i >= 0 {
				p.Achievements = append(p.Achievements, Achieved{s.rules[i].Achievement, a.At})
			}
		}
	}
	return err
}

// Award awards what the users whom an event is about have earned by now. It is for
// the subscriber that is given the events of the rules: asked twice, at once or after
// a failure, it awards once. One statement and those of the rules where there is
// nothing new.
func (s *Service) Award(ctx context.Context, e core.Event) error {
	ctx = core.WithOperation(ctx, "accounts.Award")
	about := map[string]map[core.UserID]bool{} // by code
	everybody := map[core.UserID]bool{}
	for _, r := range s.rules {
		if r.Earned == nil || !slices.Contains(r.Types, e.Type) {
			continue
		}
		named := map[core.UserID]bool{}
		for _, id := range r.About(e) {
			named[id], everybody[id] = true, true
		}
		about[r.Code] = named
	}
	for block := range slices.Chunk(slices.Sorted(maps.Keys(everybody)), MaxEarned) {
		if err := s.award(ctx, block, func(r Rule, id core.UserID) bool { return about[r.Code][id] }); err != nil {
			return err
		}
	}
	return nil
}

// AwardAll awards what every user has earned by now, a page of users at a time, so
// that what came by an import counts. One that ended early is begun anew.
func (s *Service) AwardAll(ctx context.Context) error {
	ctx = core.WithOperation(ctx, "accounts.AwardAll")
	for after := ""; ; {
		users, err := s.store.Users(ctx, UserQuery{After: after, Limit: MaxEarned})
		if err != nil || len(users) == 0 {
			return err
		}
		ids := make([]core.UserID, len(users))
		for i, u := range users {
			ids[i], after = u.ID, core.Fold(u.Username)
		}
		if err := s.award(ctx, ids, func(Rule, core.UserID) bool { return true }); err != nil {
			return err
		}
	}
}

// RecomputeAchievements asks for AwardAll, which is done in the background; only an
// admin may. It fails with core.ErrForbidden, and leaves an audit row.
func (s *Service) RecomputeAchievements(ctx context.Context, by core.Actor) error {
	ctx = core.WithOperation(ctx, "accounts.RecomputeAchievements")
	if !mayManage(by) {
		return refusal(by)
	}
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		return s.note(ctx, tx, by, EventRecompute, "achievements", true, struct{}{})
	})
}

// award asks each rule about those of the users whom it is about and who do not have
// its achievement, and keeps what they have earned.
func (s *Service) award(ctx context.Context, users []core.UserID, about func(Rule, core.UserID) bool) error {
	had, err := awardsOf(ctx, s.store, users)
	if err != nil {
		return err
	}
	var earned []Award
	for _, r := range s.rules {
		if r.Earned == nil {
			continue
		}
		without := slices.DeleteFunc(slices.Clone(users), func(id core.UserID) bool {
			return !about(r, id) || slices.ContainsFunc(had[id], func(a Award) bool { return a.Code == r.Code })
		})
		if len(without) == 0 {
			continue
		}
		winners, err := r.Earned(ctx, without, s.facts)
		if err != nil {
			return err
		}
		for _, id := range winners {
			earned = append(earned, Award{User: id, Code: r.Code})
		}
	}
	if len(earned) == 0 {
		return nil
	}
	return s.keep(ctx, earned)
}

// keep stores awards of users who exist, and tells of those that are new.
func (s *Service) keep(ctx context.Context, earned []Award) error {
	slices.SortFunc(earned, func(a, b Award) int { return cmp.Or(cmp.Compare(a.User, b.User), strings.Compare(a.Code, b.Code)) })
	now := core.Time(s.clock.Now())
	ids := make([]core.UserID, len(earned))
	for i := range earned {
		earned[i].At, ids[i] = now, earned[i].User
	}
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		users, err := tx.UsersByID(ctx, slices.Compact(slices.Clone(ids)))
		if err != nil {
			return err
		}
		byID := make(map[core.UserID]User, len(users))
		for _, u := range users {
			byID[u.ID] = u
		}
		known := slices.DeleteFunc(slices.Clone(earned), func(a Award) bool { _, there := byID[a.User]; return !there })
		added, err := tx.AddAwards(ctx, known)
		if err != nil {
			return err
		}
		if err := fault.Hit("accounts.award.after_awards"); err != nil {
			return err
		}
		for _, a := range added {
			event := core.NewEvent(EventAwarded, subjectOf(byID[a.User]), core.Actor{}, now, Awarded(a))
			if err := tx.Emit(ctx, event); err != nil {
				return err
			}
		}
		return nil
	})
}
