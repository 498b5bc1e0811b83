package httpapi

import (
	"context"
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
	Language      string     `json:"language" doc:"In which the user is answered, as a BCP 47 tag; empty is what each request asks for"`
	Active        bool       `json:"active"`
	Profile       string     `json:"profile" doc:"The slug of the user's public page"`
	LastLogin     *time.Time `json:"last_login" doc:"null when there was none"`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
}

func userOf(u accounts.User) user {
	return user{
		Username: u.Username, Email: u.Email, EmailVerified: u.EmailVerified, Phone: u.Phone, Role: string(u.Role), FullName: u.FullName,
		Bio: u.Bio, Language: u.Language, Active: u.Active, Profile: u.ProfileSlug, LastLogin: timeOrNull(u.LastLogin), CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC(),
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

// achievementOf says an achievement in the reader's language, as far as the catalogue has
// its texts.
func (a *api) achievementOf(ctx context.Context) func(accounts.Achieved) achievement {
	messages, lang := a.platform.Messages, a.language(ctx)
	return func(got accounts.Achieved) achievement {
		return achievement{got.Code, messages.Text(lang, got.Title), messages.Text(lang, got.Description), timeOrNull(got.At)}
	}
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

func (a *api) profileOf(ctx context.Context, p accounts.PublicProfile) profile {
	out := profile{
		Slug: p.Slug, Username: p.Username, Name: p.Name, Role: string(p.Role), Bio: p.Bio,
		Links: append([]accounts.Link{}, p.Links...), Specializations: make([]specialization, len(p.Specializations)),
		Achievements: make([]achievement, len(p.Achievements)),
	}
	for i, s := range p.Specializations {
		out.Specializations[i] = specializationOf(s)
	}
	say := a.achievementOf(ctx)
	for i, got := range p.Achievements {
		out.Achievements[i] = say(got)
	}
	if p.Rating > 0 {
		stars := float64(p.Rating) / 100
		out.Rating = &stars
	}
	return out
}
