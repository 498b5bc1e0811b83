package recommend

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// entry is what a learner did with one course: its index in the catalogue and the
// kind in one word, and the second it counts from.
type entry struct {
	courseKind uint32
	at         uint32
}

func newEntry(course uint32, kind Kind, at uint32) entry {
	return entry{course<<kindBits | uint32(kind), at}
}

const kindBits = 3

func (e entry) course() uint32 { return e.courseKind >> kindBits }
func (e entry) kind() Kind     { return Kind(e.courseKind & (1<<kindBits - 1)) }

// merge returns the entry of all that e and another entry of the course say: the
// strongest kind, and the earliest time of those that began the course or, where none
// did, looked at it. It does not matter in which order entries are merged.
func (e entry) merge(other entry) entry {
	a, b := e.kind(), other.kind()
	at := min(e.at, other.at)
	if a.begun() != b.begun() {
		at = e.at
		if b.begun() {
			at = other.at
		}
	}
	return newEntry(e.course(), max(a, b), at)
}

// ledger is what every learner did, in order of time and course.
type ledger map[core.UserID][]entry

// seconds returns t as entries keep it.
func seconds(t time.Time) (uint32, error) {
	s := t.Unix()
	if s < 0 || s > 1<<32-1 {
		return 0, core.Invalid("at", "range", "1970 to 2106", strconv.Itoa(t.Year()), "must be from 1970 to 2106")
	}
	return uint32(s), nil
}

// Moment returns a time as models take it: one before 1970 or after 2105, as an import may
// bring, is the nearest that they know.
func Moment(at time.Time) time.Time {
	first, last := time.Unix(0, 0).UTC(), time.Date(2106, 1, 1, 0, 0, 0, -1000, time.UTC)
	switch {
	case at.Before(first):
		return first
	case at.After(last):
		return last
	}
	return at
}

// check returns the error of an interaction that no model takes.
func (i Interaction) check() error {
	if !i.Kind.Valid() {
		return core.Invalid("type", "oneof", "view, bookmark, start, complete", strconv.Itoa(int(i.Kind)), "must be view, bookmark, start or complete")
	}
	_, err := seconds(i.At)
	return err
}

// checkUser is check, for a model that keeps the interaction with its learner.
func (i Interaction) checkUser() error {
	if i.User <= 0 {
		return core.Invalid("user", "min", "1", strconv.FormatInt(int64(i.User), 10), "is no id of a user")
	}
	return i.check()
}

// order sorts the entries of a learner, one a course already, by time and then by course.
func order(h []entry, ids []courses.CourseID) {
	slices.SortFunc(h, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(ids[a.course()], ids[b.course()]))
	})
}

// condense returns entries, in any order, as one a course, sorted; it reuses h.
func condense(h []entry, ids []courses.CourseID) []entry {
	slices.SortFunc(h, func(a, b entry) int { return cmp.Compare(a.course(), b.course()) })
	out := h[:0]
	for _, e := range h {
		if last := len(out) - 1; last >= 0 && out[last].course() == e.course() {
			out[last] = out[last].merge(e)
		} else {
			out = append(out, e)
		}
	}
	order(out, ids)
	return out
}
