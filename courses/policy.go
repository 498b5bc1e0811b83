package courses

import "github.com/ustat/ustat/core"

// mayEdit reports whether the actor may change the courses of a teacher, and so
// see them whatever their status.
func mayEdit(by core.Actor, teacher core.UserID) bool {
	if by.IsAnonymous() {
		return false
	}
	return by.Role == core.Admin || (by.Role == core.Teacher && by.UserID == teacher)
}

// visible reports whether the actor sees the course at all.
func visible(by core.Actor, c Course) bool {
	return c.Status == Published || mayEdit(by, c.Teacher.ID)
}

// visibleTeachers returns whose courses of a status the actor sees: nil is
// everyone's, an empty list is nobody's. It is visible said as a filter.
func visibleTeachers(by core.Actor, status Status) []core.UserID {
	switch {
	case status == Published, by.IsAdmin():
		return nil
	case by.Role == core.Teacher && !by.IsAnonymous():
		return []core.UserID{by.UserID}
	}
	return []core.UserID{}
}
