package httpapi

import (
	"context"
	"net/http"
	"net/url"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
)

const accountsPath = Prefix + "/accounts"

func (a *api) mountAccounts() {
	a.mountAuth()
	a.mountUsers()
	a.mountProfiles()
	a.mountSpecializations()
	a.mountAchievements()
}

func (a *api) mountAuth() {
	const tag = "auth"
	send(a, route{
		method: http.MethodPost, path: Prefix + "/auth/register/", id: "auth-register", tag: tag, summary: "Create an account and sign in",
		description: "The account is a student's.", status: http.StatusCreated, nobody: true, secret: true,
		failures: []int{http.StatusConflict, http.StatusTooManyRequests},
	}, a.register)
	send(a, route{
		method: http.MethodPost, path: Prefix + "/auth/login/", id: "auth-login", tag: tag, summary: "Sign in",
		description: "username takes the username or the e-mail address. Attempts are limited by account and network.", nobody: true, secret: true,
		failures: []int{http.StatusUnauthorized, http.StatusTooManyRequests},
	}, a.login)
	send(a, route{
		method: http.MethodPost, path: Prefix + "/auth/refresh/", id: "auth-refresh", tag: tag, summary: "New tokens for a refresh token",
		description: "A refresh token is used once; asked again within ten seconds it gives the same successor. One that is used later ends its session.", nobody: true, secret: true,
		failures: []int{http.StatusUnauthorized, http.StatusTooManyRequests},
	}, a.refresh)
	send(a, route{
		method: http.MethodPost, path: Prefix + "/auth/logout/", id: "auth-logout", tag: tag, summary: "End the session of a refresh token", nobody: true,
	}, a.logout)
	get(a, route{
		path: Prefix + "/auth/jwks/", id: "auth-jwks", tag: tag, summary: "The public keys of access tokens", nobody: true,
	}, func(context.Context, *call) (accounts.JWKS, error) { return a.platform.Accounts.JWKS() })
}

func (a *api) client(r *http.Request) accounts.Client {
	return accounts.Client{Network: network(a.options.Client(r))}
}

func (a *api) register(ctx context.Context, c *call, in accounts.Registration) (tokens, error) {
	given, err := a.platform.Accounts.Register(ctx, in, a.client(c.request))
	if err != nil {
		return tokens{}, err
	}
	c.location = accountsPath + "/users/me/"
	return tokensOf(given), nil
}

func (a *api) login(ctx context.Context, c *call, in accounts.Credentials) (tokens, error) {
	given, err := a.platform.Accounts.Login(ctx, in, a.client(c.request))
	return tokensOf(given), err
}

// refreshInput names a refresh token.
type refreshInput struct {
	Token core.Secret `json:"refresh_token" validate:"required,max=256"`
}

func (a *api) refresh(ctx context.Context, c *call, in refreshInput) (tokens, error) {
	given, err := a.platform.Accounts.Refresh(ctx, in.Token, a.client(c.request))
	return tokensOf(given), err
}

func (a *api) logout(ctx context.Context, _ *call, in refreshInput) (none, error) {
	return none{}, a.platform.Accounts.Logout(ctx, in.Token)
}

func (a *api) mountUsers() {
	const tag = "accounts"
	get(a, route{
		path: accountsPath + "/users/", id: "users-list", tag: tag, summary: "List users by username", description: "Admins only.", signedIn: true,
		query: append(pageParams(),
			param{name: "role", kind: choice, choices: names(core.Roles[:]), doc: "Only users with it"},
			param{name: "active", kind: choice, choices: []string{"true", "false"}, doc: "Only users who may sign in, or only others"}),
	}, a.listUsers)
	send(a, route{
		method: http.MethodPost, path: accountsPath + "/users/", id: "users-create", tag: tag, summary: "Create a user with any role",
		description: "Admins only.", status: http.StatusCreated, signedIn: true,
	}, a.createUser)
	get(a, route{
		path: accountsPath + "/users/me/", id: "me-get", tag: tag, summary: "Who is signed in", signedIn: true,
	}, a.me)
	send(a, route{
		method: http.MethodPatch, path: accountsPath + "/users/me/", id: "me-update", tag: tag, summary: "Change what is said about oneself",
		description: "Another e-mail address is not verified.", versioned: true, signedIn: true,
	}, a.updateMe)
	send(a, route{
		method: http.MethodPut, path: accountsPath + "/users/me/password/", id: "me-password", tag: tag, summary: "Change one's password",
		description: "All sessions end, this one too.", signedIn: true, failures: []int{http.StatusTooManyRequests},
	}, a.changePassword)
	get(a, route{
		path: accountsPath + "/users/{username}/", id: "users-get", tag: tag, summary: "One user", description: "The user and admins only.", signedIn: true,
	}, a.user)
	send(a, route{
		method: http.MethodPatch, path: accountsPath + "/users/{username}/", id: "users-update", tag: tag, summary: "Change what is said about a user",
		description: "The user and admins only.", versioned: true, signedIn: true,
	}, a.updateUser)
	send(a, route{
		method: http.MethodPut, path: accountsPath + "/users/{username}/role/", id: "users-role", tag: tag, summary: "Give a user another role",
		description: "Admins only. The last active admin stays one; who has courses stays a teacher at least.", signedIn: true,
	}, a.assignRole)
	send(a, route{
		method: http.MethodPut, path: accountsPath + "/users/{username}/active/", id: "users-active", tag: tag, summary: "Disable a user, or enable one again",
		description: "Admins only. The last active admin stays active.", signedIn: true,
	}, a.setActive)
	get(a, route{
		path: accountsPath + "/users/{username}/teachers/", id: "teachers-list", tag: tag, summary: "The teachers that a producer works for",
		description: "Admins and the producer only. All at once: there are at most 1,000.", signedIn: true,
	}, a.listTeachers)
	send(a, route{
		method: http.MethodPut, path: accountsPath + "/users/{username}/teachers/{teacher}/", id: "teachers-link", tag: tag, summary: "Link a producer with a teacher",
		description: "Admins only.", signedIn: true,
	}, a.linkTeacher)
	send(a, route{
		method: http.MethodDelete, path: accountsPath + "/users/{username}/teachers/{teacher}/", id: "teachers-unlink", tag: tag, summary: "Remove such a link",
		description: "Admins only.", signedIn: true,
	}, a.unlinkTeacher)
}

func (a *api) listUsers(ctx context.Context, c *call) (list[user], error) {
	filter := accounts.UserFilter{Role: core.Role(c.args.text("role"))}
	if given := c.args.text("active"); given != "" {
		active := given == "true"
		filter.Active = &active
	}
	page, err := a.platform.Accounts.Users(ctx, c.actor, filter, c.page())
	return present(page.Items, page.Next, userOf), err
}

func (a *api) createUser(ctx context.Context, c *call, in accounts.NewUser) (user, error) {
	created, err := a.platform.Accounts.CreateUser(ctx, c.actor, in)
	if err != nil {
		return user{}, err
	}
	c.location = accountsPath + "/users/" + url.PathEscape(created.Username) + "/"
	return c.user(created), nil
}

// user shows a user with the version that If-Match takes.
func (c *call) user(u accounts.User) user {
	c.at = u.Version
	return userOf(u)
}

// username returns the name of who is signed in.
func (a *api) username(ctx context.Context, by core.Actor) (string, error) {
	found, err := a.platform.Accounts.UsersByID(ctx, []core.UserID{by.UserID})
	if err != nil {
		return "", err
	}
	if len(found) == 0 { // an actor that the embedder made up
		return "", accounts.ErrUserNotFound
	}
	return found[0].Username, nil
}

func (a *api) me(ctx context.Context, c *call) (user, error) {
	name, err := a.username(ctx, c.actor)
	if err != nil {
		return user{}, err
	}
	return a.showUser(ctx, c, name)
}

func (a *api) updateMe(ctx context.Context, c *call, in accounts.UserEdit) (user, error) {
	name, err := a.username(ctx, c.actor)
	if err != nil {
		return user{}, err
	}
	return a.changeUser(ctx, c, name, in)
}

func (a *api) user(ctx context.Context, c *call) (user, error) {
	return a.showUser(ctx, c, c.path("username"))
}

func (a *api) updateUser(ctx context.Context, c *call, in accounts.UserEdit) (user, error) {
	return a.changeUser(ctx, c, c.path("username"), in)
}

func (a *api) showUser(ctx context.Context, c *call, name string) (user, error) {
	found, err := a.platform.Accounts.User(ctx, c.actor, name)
	if err != nil {
		return user{}, err
	}
	return c.user(found), nil
}

func (a *api) changeUser(ctx context.Context, c *call, name string, in accounts.UserEdit) (user, error) {
	in.IfVersion = c.version
	changed, err := a.platform.Accounts.UpdateUser(ctx, c.actor, name, in)
	if err != nil {
		return user{}, err
	}
	return c.user(changed), nil
}

func (a *api) changePassword(ctx context.Context, c *call, in accounts.PasswordChange) (none, error) {
	return none{}, a.platform.Accounts.ChangePassword(ctx, c.actor, in, a.client(c.request))
}

type roleInput struct {
	Role core.Role `json:"role" validate:"required,oneof=student teacher producer admin"`
}

func (a *api) assignRole(ctx context.Context, c *call, in roleInput) (user, error) {
	changed, err := a.platform.Accounts.AssignRole(ctx, c.actor, c.path("username"), in.Role)
	if err != nil {
		return user{}, err
	}
	return c.user(changed), nil
}

type activeInput struct {
	Active *bool `json:"active" validate:"required"`
}

func (a *api) setActive(ctx context.Context, c *call, in activeInput) (user, error) {
	changed, err := a.platform.Accounts.SetActive(ctx, c.actor, c.path("username"), *in.Active)
	if err != nil {
		return user{}, err
	}
	return c.user(changed), nil
}

func (a *api) listTeachers(ctx context.Context, c *call) (list[teacher], error) {
	found, err := a.platform.Accounts.TeachersOf(ctx, c.actor, c.path("username"))
	return present(found, "", func(u accounts.User) teacher { return teacher{u.Username, u.Name()} }), err
}

func (a *api) linkTeacher(ctx context.Context, c *call, _ none) (none, error) {
	return none{}, a.platform.Accounts.LinkTeacher(ctx, c.actor, c.path("username"), c.path("teacher"))
}

func (a *api) unlinkTeacher(ctx context.Context, c *call, _ none) (none, error) {
	return none{}, a.platform.Accounts.UnlinkTeacher(ctx, c.actor, c.path("username"), c.path("teacher"))
}

func (a *api) mountProfiles() {
	const tag = "accounts"
	get(a, route{
		path: accountsPath + "/profiles/", id: "profiles-list", tag: tag, summary: "List the profiles of those who teach, by slug",
		query: append(pageParams(), param{name: "specialization", doc: "Slug: only those who have it"}),
	}, a.listProfiles)
	get(a, route{
		path: accountsPath + "/profiles/{slug}/", id: "profiles-get", tag: tag, summary: "The public page of an active user",
		description: "A slug that it had before is answered with 301.", failures: []int{http.StatusMovedPermanently},
	}, a.profile)
	send(a, route{
		method: http.MethodPatch, path: accountsPath + "/profiles/{slug}/", id: "profiles-update", tag: tag, summary: "Change a profile",
		description: "Its user and admins only. Links and specializations are replaced as a whole.", versioned: true, signedIn: true,
	}, a.updateProfile)
}

func (a *api) listProfiles(ctx context.Context, c *call) (list[profile], error) {
	page, err := a.platform.Accounts.Profiles(ctx, c.args.text("specialization"), c.page())
	return present(page.Items, page.Next, func(p accounts.PublicProfile) profile { return a.profileOf(ctx, p) }), err
}

func (a *api) profile(ctx context.Context, c *call) (profile, error) {
	found, err := a.platform.Accounts.Profile(ctx, c.path("slug"))
	if err != nil {
		return profile{}, err
	}
	if found.Slug != c.path("slug") { // it was renamed
		c.location = accountsPath + "/profiles/" + found.Slug + "/"
	}
	c.at = found.Version
	return a.profileOf(ctx, found), nil
}

func (a *api) updateProfile(ctx context.Context, c *call, in accounts.ProfileEdit) (profile, error) {
	in.IfVersion = c.version
	changed, err := a.platform.Accounts.UpdateProfile(ctx, c.actor, c.path("slug"), in)
	if err != nil {
		return profile{}, err
	}
	c.at = changed.Version
	return a.profileOf(ctx, changed), nil
}

func (a *api) mountAchievements() {
	const tag = "accounts"
	path := accountsPath + "/achievements/"
	get(a, route{
		path: path, id: "achievements-list", tag: tag, summary: "What there is to achieve, and what who is signed in has achieved",
		description: "All at once: there are at most 100.",
	}, func(ctx context.Context, c *call) (list[achievement], error) {
		all, err := a.platform.Accounts.Achievements(ctx, c.actor)
		return present(all, "", a.achievementOf(ctx)), err
	})
	send(a, route{
		method: http.MethodPost, path: path + "recompute/", id: "achievements-recompute", tag: tag, summary: "Award all users what they have earned",
		description: "Admins only. It is done in the background; what was imported counts without asking.", signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (none, error) {
		return none{}, a.platform.Accounts.RecomputeAchievements(ctx, c.actor)
	})
}

func (a *api) mountSpecializations() {
	const tag = "accounts"
	path := accountsPath + "/specializations/"
	get(a, route{
		path: path, id: "specializations-list", tag: tag, summary: "List specializations by slug", query: pageParams(),
	}, func(ctx context.Context, c *call) (list[specialization], error) {
		page, err := a.platform.Accounts.Specializations(ctx, c.page())
		return present(page.Items, page.Next, specializationOf), err
	})
	send(a, route{
		method: http.MethodPost, path: path, id: "specializations-create", tag: tag, summary: "Add a specialization",
		description: "Admins only.", status: http.StatusCreated, signedIn: true,
	}, func(ctx context.Context, c *call, in accounts.NewSpecialization) (specialization, error) {
		created, err := a.platform.Accounts.CreateSpecialization(ctx, c.actor, in)
		c.location = path + created.Slug + "/"
		return specializationOf(created), err
	})
	get(a, route{
		path: path + "{slug}/", id: "specializations-get", tag: tag, summary: "One specialization",
	}, func(ctx context.Context, c *call) (specialization, error) {
		found, err := a.platform.Accounts.Specialization(ctx, c.path("slug"))
		return specializationOf(found), err
	})
	send(a, route{
		method: http.MethodPatch, path: path + "{slug}/", id: "specializations-update", tag: tag, summary: "Change a specialization",
		description: "Admins only.", signedIn: true,
	}, func(ctx context.Context, c *call, in accounts.SpecializationEdit) (specialization, error) {
		changed, err := a.platform.Accounts.UpdateSpecialization(ctx, c.actor, c.path("slug"), in)
		return specializationOf(changed), err
	})
	send(a, route{
		method: http.MethodDelete, path: path + "{slug}/", id: "specializations-delete", tag: tag, summary: "Remove a specialization that no profile has",
		description: "Admins only.", signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (none, error) {
		return none{}, a.platform.Accounts.DeleteSpecialization(ctx, c.actor, c.path("slug"))
	})
}
