// Package fault makes named places of the code fail on purpose, so that tests can
// show what is left behind.
//
//	if err := fault.Hit("courses.move.after_update"); err != nil {
//		return err
//	}
//
// Without the build tag ustat_fault, Hit is an empty function that the compiler
// inlines away, and no name of a point is in the program. With it, a [Plan] says
// which point does what: armed by a test's worker, or by the environment:
//
//	USTAT_FAULT=sqlstore.update.before_commit:kill:3
package fault

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Points are the names of all places, <package>.<operation>.<where>, in the order
// in which an operation passes them.
var Points = []string{
	"sqlstore.update.before_begin",
	"sqlstore.update.after_begin",
	"accounts.register.after_insert",
	"accounts.login.after_update",
	"accounts.refresh.after_use",
	"accounts.end_sessions.after_user",
	"accounts.authority.after_change",
	"accounts.award.after_awards",
	"courses.create.after_insert",
	"courses.locked.after_lock",
	"courses.changed.after_audit",
	"courses.translate.after_put",
	"courses.move.after_update",
	"courses.move.after_recount",
	"reviews.locked.after_lock",
	"reviews.create.after_insert",
	"reviews.write.after_history",
	"reviews.update.after_update",
	"reviews.delete.after_delete",
	"reviews.vote.after_vote",
	"reviews.comment.after_insert",
	"reviews.rated.after_stats",
	"reviews.forget.after_rows",
	"tasks.relay.after_pending", // nothing has been taken over
	"tasks.relay.after_insert",  // the queue has the jobs, and the outbox has the events still
	"reports.make.after_begin",
	"reports.make.after_header", // of the file, which is being written
	"reports.make.after_put",    // the file is there, and the report does not know
	"reports.make.after_end",    // the report is done, and files of earlier attempts are there
	"tasks.attempt.after_handler",
	"shardstore.ingest.after_events",
	"shardstore.ingest.after_rollup",
	"recommend.add.after_records",
	"recommend.save.after_chunk",
	"recommend.save.after_chunks", // the model is there, and the former one is the kept one
	"recommend.train.after_swap",
	"reports.cleanup.after_files",
	"courses.process_file.after_replaced",
	"courses.seat.after_write",
	"courses.unseat.after_write",
	"courses.promote.after_write",
	"courses.order.after_coupon",
	"courses.order.after_release",
	"courses.order.after_insert",
	"courses.order.before_payment",
	"courses.order.after_payment",
	"courses.settle.after_event",
	"courses.settle.after_order",
	"courses.settle.after_right",
	"courses.refund.after_right",
	"courses.refund.before_payment",
	"courses.refund.after_payment",
	"courses.complete.after_progress",
	"courses.complete.after_update",
	"sqlstore.update.after_closure",
	"sqlstore.update.after_events",
	"sqlstore.update.before_commit", // the caller's context has been looked at for the last time
	"sqlstore.update.after_commit",  // the database has answered; an error here is an answer that was lost
}

// Mode is what a point does when it fires.
type Mode string

// The modes.
const (
	Kill   Mode = "kill"   // the process ends at once, as by SIGKILL
	Error  Mode = "error"  // Hit returns ErrInjected
	Cancel Mode = "cancel" // the caller's context ends, and Hit returns nil
	Sleep  Mode = "sleep"  // Hit returns nil after Plan.Sleep
	Panic  Mode = "panic"  // Hit panics with ErrInjected
)

// Modes lists every mode.
var Modes = []Mode{Kill, Error, Cancel, Sleep, Panic}

// ErrInjected is the error of the mode Error.
var ErrInjected = errors.New("fault: injected")

// Plan is one fault. It happens once.
type Plan struct {
	Point string `json:"point"`
	Mode  Mode   `json:"mode"`
	// Nth is at which hit of the point it happens. Zero is the first.
	Nth int `json:"nth,omitempty"`
	// Sleep is how long the mode Sleep takes. Zero means 100 ms.
	Sleep time.Duration `json:"sleep,omitempty"`
	// Cancel ends the caller's context in the mode Cancel. Nil means SIGTERM to the
	// process itself.
	Cancel func() `json:"-"`
}

// String returns the plan as the environment has it: point:mode:nth.
func (p Plan) String() string {
	return p.Point + ":" + string(p.Mode) + ":" + strconv.Itoa(max(1, p.Nth))
}

// Parse reads what String writes; ":nth" may be missing.
func Parse(text string) (Plan, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 2 && len(parts) != 3 {
		return Plan{}, fmt.Errorf("fault: %q is not point:mode:nth", text)
	}
	p := Plan{Point: parts[0], Mode: Mode(parts[1])}
	if len(parts) == 3 {
		n, err := strconv.Atoi(parts[2])
		if err != nil || n < 1 {
			return Plan{}, fmt.Errorf("fault: %q is no number of a hit from 1", parts[2])
		}
		p.Nth = n
	}
	return p, p.check()
}

func (p Plan) check() error {
	if !slices.Contains(Points, p.Point) {
		return fmt.Errorf("fault: there is no point %q", p.Point)
	}
	if !slices.Contains(Modes, p.Mode) {
		return fmt.Errorf("fault: there is no mode %q", p.Mode)
	}
	return nil
}
