//go:build !ustat_fault

package fault

import "errors"

// Enabled reports whether the program was built with the tag ustat_fault.
const Enabled = false

// Hit passes a point. It returns nil: nothing of it is left in the program.
func Hit(string) error { return nil }

// Arm fails: the points of this program were compiled to nothing.
func Arm(Plan) error {
	return errors.New("fault: the program was built without the tag ustat_fault")
}

// Disarm returns nil: no point of this program is ever hit.
func Disarm() []string { return nil }
