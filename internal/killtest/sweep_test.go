package killtest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/internal/fault"
	"github.com/ustat/ustat/internal/killtest"
)

// operation is one that is swept: tried with each fault at each of its points.
type operation struct {
	// prepare makes what a try works on, which is named n, and returns the operation.
	prepare func(t *testing.T, w *world, n string) killtest.Op
	// effects is a query for how often the operation has been done to %s.
	effects string
	// again is the code of the error when it has been done already.
	again string
	// repeats says that it may be done twice.
	repeats bool
}

// ofCourse counts the events of a type of a course.
const ofCourse = "SELECT count(*) FROM ustat_outbox AS o JOIN ustat_courses AS c ON o.subject = 'course/' || c.id WHERE c.slug = '%s' AND o.type = "

// ofReviews counts the rows of a table that belong to the review of a course.
func ofReviews(table, course, more string) string {
	return "SELECT count(*) FROM " + table + " AS x JOIN ustat_courses AS c ON c.id = " + course + " WHERE c.slug = '%s'" + more
}

const courseOfReview = "(SELECT r.course_id FROM ustat_reviews AS r WHERE r.id = x.review_id)"

// ofReviewEvents counts the events of a type of the reviews of a course.
const ofReviewEvents = "SELECT count(*) FROM ustat_outbox AS o JOIN ustat_reviews AS r ON o.subject = 'review/' || r.id" +
	" JOIN ustat_courses AS c ON c.id = r.course_id WHERE c.slug = '%s' AND o.type = "

// ofEnrollments counts the events of a type of those who take a course.
const ofEnrollments = "SELECT count(*) FROM ustat_outbox AS o JOIN ustat_enrollments AS e ON o.subject = 'enrollment/' || e.id" +
	" JOIN ustat_courses AS c ON c.id = e.course_id WHERE c.slug = '%s' AND o.type = "

var operations = map[string]operation{
	"reviews.create": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		w.student(t, n)
		return killtest.Op{Name: "reviews.create", Args: map[string]string{"slug": n, "by": n, "key": n}}
	}, effects: ofReviews("ustat_reviews", "x.course_id", "")},
	"reviews.edit": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		return w.review(t, "reviews.edit", n, n)
	}, effects: ofReviews("ustat_review_history", "x.course_id", " AND x.action = 'edit'")},
	"reviews.hide": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		return w.review(t, "reviews.hide", n, "root")
	}, effects: ofReviews("ustat_review_history", "x.course_id", " AND x.action = 'hide'"), again: "reviews.invalid_transition"},
	"reviews.delete": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		return w.review(t, "reviews.delete", n, n)
	}, effects: ofReviews("ustat_review_history", "x.course_id", " AND x.action = 'delete'"), again: "reviews.not_found"},
	"reviews.comment": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		return w.review(t, "reviews.comment", n, "root")
	}, effects: ofReviews("ustat_review_comments", courseOfReview, "")},
	"reviews.vote": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		return w.review(t, "reviews.vote", n, "root")
	}, effects: ofReviews("ustat_review_votes", courseOfReview, "")},
	"reviews.report": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		return w.review(t, "reviews.report", n, "root")
	}, effects: ofReviews("ustat_review_reports", courseOfReview, "")},
	"reviews.reply": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		return w.review(t, "reviews.reply", n, "anna")
	}, effects: ofReviews("ustat_reviews", "x.course_id", " AND x.reply_text = 'Thanks'")},
	"courses.publish": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		w.inReview(t, n)
		return killtest.Op{Name: "courses.publish", Args: map[string]string{"slug": n, "by": "root"}}
	}, effects: ofCourse + "'courses.published'", again: "courses.invalid_transition"},
	"courses.create": {prepare: func(_ *testing.T, _ *world, n string) killtest.Op {
		return killtest.Op{Name: "courses.create", Args: map[string]string{"slug": n, "by": "anna", "category": "category", "key": n}}
	}, effects: ofCourse + "'courses.created'"},
	"courses.file": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		return killtest.Op{Name: "courses.file", Args: w.upload(t, n)}
	}, effects: "SELECT count(*) - 1 FROM ustat_outbox AS o JOIN ustat_lessons AS l ON o.subject = 'lesson/' || l.id" +
		" JOIN ustat_courses AS c ON c.id = l.course_id WHERE c.slug = '%s' AND o.type = 'courses.file_ready'"},
	"courses.enroll": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		w.published(t, n, 1)
		w.learner(t, n)
		return killtest.Op{Name: "courses.enroll", Args: map[string]string{"slug": n, "by": n}}
	}, effects: ofEnrollments + "'courses.enrolled'"},
	"courses.cancel": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		w.published(t, n, 1)
		w.enrolled(t, n, n)
		w.enrolled(t, n, n+"-waits")
		return killtest.Op{Name: "courses.cancel", Args: map[string]string{"slug": n, "by": n}}
	}, effects: ofEnrollments + "'courses.promoted'"},
	"courses.complete": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		w.published(t, n, 0)
		w.enrolled(t, n, n)
		return killtest.Op{Name: "courses.complete", Args: map[string]string{"slug": n, "by": n}}
	}, effects: ofEnrollments + "'courses.completed'"},
	"courses.certificate": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		w.published(t, n, 0)
		return killtest.Op{Name: "courses.certificate", Args: map[string]string{"by": n, "enrollment": w.completed(t, n, n)}}
	}, effects: ofEnrollments + "'courses.certificate_issued'"},
	"accounts.role": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		w.register(t, n)
		return killtest.Op{Name: "accounts.role", Args: map[string]string{"username": n, "role": "teacher", "by": "root"}}
	}, effects: "SELECT count(*) FROM ustat_outbox WHERE subject = 'user/%s' AND type = 'accounts.role_changed'"},
	"accounts.disable": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		w.register(t, n)
		return killtest.Op{Name: "accounts.disable", Args: map[string]string{"username": n, "by": "root"}}
	}, effects: "SELECT count(*) FROM ustat_outbox WHERE subject = 'user/%s' AND type = 'accounts.active_changed'"},
	"accounts.award": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		w.register(t, n)
		return killtest.Op{Name: "accounts.award", Args: map[string]string{"username": n}}
	}, effects: "SELECT count(*) FROM ustat_awards AS a JOIN ustat_users AS u ON u.id = a.user_id JOIN ustat_outbox AS o ON o.subject = 'user/' || u.username" +
		" WHERE u.username = '%s' AND o.type = 'accounts.achievement_awarded'"},
	"accounts.register": {prepare: func(_ *testing.T, _ *world, n string) killtest.Op {
		return killtest.Op{Name: "accounts.register", Args: map[string]string{"username": n, "password": password, "network": n}}
	}, effects: "SELECT count(*) FROM ustat_users WHERE username = '%s'", again: "accounts.username_taken"},
	"accounts.login": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		w.register(t, n)
		return killtest.Op{Name: "accounts.login", Args: map[string]string{"username": n, "password": password, "network": n}}
	}, effects: "SELECT count(*) - 1 FROM ustat_sessions WHERE network = '%s'", repeats: true},
	"accounts.refresh": {prepare: func(t *testing.T, w *world, n string) killtest.Op {
		return killtest.Op{Name: "accounts.refresh", Args: map[string]string{"token": w.register(t, n), "network": n}}
	}, effects: "SELECT count(*) FROM ustat_refresh_tokens AS r JOIN ustat_sessions AS s ON s.id = r.session_id WHERE s.network = '%s' AND r.used_at IS NOT NULL"},
}

// try is one operation with one fault.
type try struct {
	operation
	name string // of what it works on
	op   killtest.Op
}

// TestSweep stops operations at their points in each way, and compares what the
// caller knows with what is stored. Without USTAT_TEST_SCALE only publish, enroll and
// complete are tried at all points, the others around their COMMIT.
func TestSweep(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		for name, o := range operations {
			t.Run(name, func(t *testing.T) {
				points := w.one(t, o.prepare(t, w, "dry-"+strings.ReplaceAll(name, ".", "-"))).Hits
				require.Contains(t, points, "sqlstore.update.before_commit", name)
				if !slices.Contains([]string{"courses.publish", "courses.enroll", "courses.complete"}, name) && scale(t) == 1 {
					points = []string{"sqlstore.update.before_commit", "sqlstore.update.after_commit"}
				}
				var killed, lost, kept []try // those that live on are apart by whether the COMMIT happens
				for i, point := range slices.Compact(points) {
					for _, mode := range []fault.Mode{fault.Kill, fault.Error, fault.Panic, fault.Cancel} {
						n := fmt.Sprintf("%s-%s-%d", strings.ReplaceAll(name, ".", "-"), mode, i)
						made := try{o, n, o.prepare(t, w, n)}
						made.op.Fault = fault.Plan{Point: point, Mode: mode}
						switch {
						case mode == fault.Kill:
							w.sweep(t, made.committed(), []try{made})
							killed = append(killed, made)
						case made.committed():
							kept = append(kept, made)
						default:
							lost = append(lost, made)
						}
					}
				}
				w.sweep(t, false, lost)
				w.sweep(t, true, kept)
				w.again(t, append(append(killed, lost...), kept...))
				t.Logf("%d faults", len(killed)+len(lost)+len(kept))
				w.check(t)
			})
		}
	})
}

// committed reports whether what a try does is committed.
func (made try) committed() bool {
	plan := made.op.Fault
	return plan.Point == "sqlstore.update.after_commit" ||
		plan.Point == "sqlstore.update.before_commit" && plan.Mode == fault.Cancel // the context has been looked at for the last time
}

// sweep has one worker do tries, of which none or all are committed.
func (w *world) sweep(t *testing.T, committed bool, tries []try) {
	t.Helper()
	before := w.state(t)
	ops := make([]killtest.Op, len(tries))
	for i, made := range tries {
		ops[i] = made.op
	}
	calls := w.run(t, ops...).Calls
	require.Len(t, calls, len(tries))
	if !committed {
		require.Equal(t, before, w.state(t), "what was not committed has left rows")
	}
	for i, made := range tries {
		what := fmt.Sprintf("%s with %s: %s %s", made.op.Name, made.op.Fault, calls[i].Outcome, calls[i].Error)
		require.Equal(t, oneIf(committed), w.count(t, fmt.Sprintf(made.effects, made.name)), what)
		checkAnswer(t, made, calls[i], committed, what)
	}
}

// again has one worker do all tries once more without a fault, as their callers
// would, after which each has been done once.
func (w *world) again(t *testing.T, tries []try) {
	t.Helper()
	ops := make([]killtest.Op, len(tries))
	for i, made := range tries {
		ops[i] = killtest.Op{Name: made.op.Name, Args: made.op.Args}
	}
	calls := w.run(t, ops...).Calls
	for i, made := range tries {
		what := fmt.Sprintf("%s after %s: %s %s", made.op.Name, made.op.Fault, calls[i].Outcome, calls[i].Error)
		if made.committed() && made.again != "" {
			require.Equal(t, made.again, calls[i].Code, what)
		} else {
			require.Equal(t, killtest.OK, calls[i].Outcome, what)
		}
		times := 1 + oneIf(made.committed() && made.repeats)
		require.Equal(t, times, w.count(t, fmt.Sprintf(made.effects, made.name)), what)
	}
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// checkAnswer checks that the answer of a try says no more than is so: OK is stored,
// a refusal is not, and what nobody can know is Unknown.
func checkAnswer(t *testing.T, made try, call killtest.Call, committed bool, what string) {
	t.Helper()
	want := killtest.Failed
	switch mode := made.op.Fault.Mode; {
	case mode == fault.Kill:
		require.Empty(t, call.Error, what)
		want = killtest.Unknown
	case mode == fault.Panic:
		require.Equal(t, "panic", call.Code, what)
	case committed && mode == fault.Error:
		want = killtest.Unknown
	case committed:
		want = killtest.OK
	}
	require.Equal(t, want, call.Outcome, what)
}

// TestEveryPointIsHit shows that no point of package fault is out of reach.
func TestEveryPointIsHit(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		var ops []killtest.Op
		for name, o := range operations {
			ops = append(ops, o.prepare(t, w, strings.ReplaceAll(name, ".", "-")))
		}
		var hit []string
		calls := w.run(t, ops...).Calls
		background := jobs{w, t.TempDir()}
		calls = append(calls, background.run(t, reportOf("key"), killtest.Op{Name: "ustat.cleanup", Args: map[string]string{"key": "key"}}).Calls...)
		for _, call := range calls {
			require.Equal(t, killtest.OK, call.Outcome, call.Error)
			hit = append(hit, call.Hits...)
		}
		hit = append(hit, w.hitsOfPurchases(t)...)
		hit = append(hit, w.one(t, w.toErase(t, "erased")).Hits...)
		slices.Sort(hit)
		require.ElementsMatch(t, fault.Points, slices.Compact(hit))
	})
}

// TestTheEnvironmentArmsAFault is for programs that have no harness.
func TestTheEnvironmentArmsAFault(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		o := operations["courses.create"]
		var ops []killtest.Op
		for _, n := range []string{"one", "two", "three"} {
			ops = append(ops, o.prepare(t, w, n))
		}
		work := w.work(ops[:1], ops[1:2], ops[2:]) // several lanes leave what is armed alone
		ended := killtest.Run(t, work, killtest.NoKill, "USTAT_FAULT="+fault.Plan{Point: "sqlstore.update.after_commit", Mode: fault.Kill, Nth: 2}.String())
		require.True(t, ended.Killed)
		stored := 0
		for _, call := range ended.Calls {
			n := w.count(t, fmt.Sprintf(o.effects, call.Op.Args["slug"]))
			require.True(t, n == 1 || call.Outcome == killtest.Unknown, "an acknowledged course is not stored")
			stored += n
		}
		require.GreaterOrEqual(t, stored, 2, "it was to be killed after the second COMMIT")
	})
}

// TestARotationThatIsKilledBeforeItsAnswer shows that a client whose refresh token
// was used up by a call without an answer gets the answer by asking again.
func TestARotationThatIsKilledBeforeItsAnswer(t *testing.T) {
	onEachEngine(t, func(t *testing.T, w *world) {
		rotate := operations["accounts.refresh"].prepare(t, w, "student")
		killed := rotate
		killed.Fault = fault.Plan{Point: "sqlstore.update.after_commit", Mode: fault.Kill}
		require.True(t, w.run(t, killed).Killed)

		calls := w.run(t, rotate, rotate).Calls
		var first, second killtest.Tokens
		require.NoError(t, calls[0].Into(&first), calls[0].Error)
		require.NoError(t, calls[1].Into(&second), calls[1].Error)
		require.Equal(t, first.Refresh, second.Refresh, "who asks again gets the same token")
		rotate.Args["token"] = first.Refresh
		var next killtest.Tokens
		require.NoError(t, w.one(t, rotate).Into(&next))
		require.NotEqual(t, first.Refresh, next.Refresh)
		w.check(t)
	})
}
