package accounts

import "github.com/ustat/ustat/core"

// mayManage reports whether the actor may create users, list them, change their
// roles and activity, link teachers, and write specializations.
func mayManage(by core.Actor) bool { return by.IsAdmin() }

// maySeeAll reports whether the actor sees all of a user: e-mail, phone, sign-ins.
func maySeeAll(by core.Actor, user core.UserID) bool { return by.IsAdmin() || isSelf(by, user) }

// mayEdit reports whether the actor may change what a user says about themselves:
// names, bio, e-mail, phone and profile.
func mayEdit(by core.Actor, user core.UserID) bool { return by.IsAdmin() || isSelf(by, user) }

// mayReadTeachers reports whether the actor sees which teachers a producer has.
func mayReadTeachers(by core.Actor, producer User) bool {
	return by.IsAdmin() || (isSelf(by, producer.ID) && producer.Role == core.Producer)
}

func isSelf(by core.Actor, user core.UserID) bool { return !by.IsAnonymous() && by.UserID == user }

// refusal is the error of what the actor may not do: who is not signed in is told
// to.
func refusal(by core.Actor) error {
	if by.IsAnonymous() {
		return core.ErrUnauthenticated
	}
	return core.ErrForbidden
}

// Listed reports whether the profile of the user is in the public list.
func (u User) Listed() bool { return u.Active && u.Role.Rank() >= core.Teacher.Rank() }

// reserved are names that would pass for the platform's own, or that a path takes.
// Nobody registers under one of them, and no slug of a profile is one. An admin may
// create a user of such a name, who often is the operator's first; "me", which paths
// take, is too short for any username.
var reserved = map[string]bool{"me": true, "admin": true, "root": true, "system": true}
