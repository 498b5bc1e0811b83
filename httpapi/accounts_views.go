package httpapi

import (
	"time"

	"github.com/ustat/ustat/accounts"
)

type tokens struct {
	AccessToken  string `json:"access_token" doc:"For the header Authorization: Bearer"`
	RefreshToken string `json:"refresh_token" doc:"Opaque; used once"`
	TokenType    string `json:"token_type" enum:"Bearer"`
	ExpiresIn    int64  `json:"expires_in" doc:"Seconds that the access token is good for"`
}

func tokensOf(t accounts.Tokens) tokens {
	return tokens{string(t.Access), string(t.Refresh), "Bearer", int64(t.ExpiresIn / time.Second)}
}

type user struct {
	Username      string     `json:"username"`
	Email         string     `json:"email"`
	EmailVerified bool       `json:"email_verified"`
	Phone         string     `json:"phone" doc:"E.164, or empty"`
	Role          string     `json:"role" enum:"student,teacher,producer,admin"`
	FullName      string     `json:"full_name"`
	Bio           string     `json:"bio"`
	Active        bool       `json:"active"`
	Profile       string     `json:"profile" doc:"The slug of the user's public page"`
	LastLogin     *time.Time `json:"last_login" doc:"null when there was none"`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
}

func userOf(u accounts.User) user {
	return user{
		Username: u.Username, Email: u.Email, EmailVerified: u.EmailVerified, Phone: u.Phone, Role: string(u.Role), FullName: u.FullName,
		Bio: u.Bio, Active: u.Active, Profile: u.ProfileSlug, LastLogin: timeOrNull(u.LastLogin), CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC(),
	}
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

type specialization struct {
	Slug string `json:"slug"`
	Name string `json:"name"`
}

func specializationOf(s accounts.Specialization) specialization {
	return specialization{s.Slug, s.Name}
}

type achievement struct {
	Code        string     `json:"code" doc:"Stable"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	AwardedAt   *time.Time `json:"awarded_at" doc:"null where it was not"`
}

func achievementOf(a accounts.Achieved) achievement {
	return achievement{a.Code, a.Title, a.Description, timeOrNull(a.At)}
}

type profile struct {
	Slug            string           `json:"slug"`
	Username        string           `json:"username"`
	Name            string           `json:"name"`
	Role            string           `json:"role" enum:"student,teacher,producer,admin"`
	Bio             string           `json:"bio"`
	Links           []accounts.Link  `json:"links" nullable:"false"`
	Specializations []specialization `json:"specializations" nullable:"false"`
	Rating          *float64         `json:"rating" minimum:"1" maximum:"5" doc:"From the reviews of the user's courses; null without any"`
	Achievements    []achievement    `json:"achievements" nullable:"false" doc:"In the order in which they were awarded"`
}

func profileOf(p accounts.PublicProfile) profile {
	out := profile{
		Slug: p.Slug, Username: p.Username, Name: p.Name, Role: string(p.Role), Bio: p.Bio,
		Links: append([]accounts.Link{}, p.Links...), Specializations: make([]specialization, len(p.Specializations)),
		Achievements: make([]achievement, len(p.Achievements)),
	}
	for i, s := range p.Specializations {
		out.Specializations[i] = specializationOf(s)
	}
	for i, a := range p.Achievements {
		out.Achievements[i] = achievementOf(a)
	}
	if p.Rating > 0 {
		stars := float64(p.Rating) / 100
		out.Rating = &stars
	}
	return out
}
