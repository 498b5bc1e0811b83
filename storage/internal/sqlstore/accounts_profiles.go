package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
)

const profileColumns = "p.user_id, p.slug, p.links, p.rating, p.version"

func scanProfile(rows *sql.Rows, p *accounts.Profile) error {
	var links string
	if err := rows.Scan(&p.UserID, &p.Slug, &links, &p.Rating, &p.Version); err != nil {
		return err
	}
	if links == noLinks {
		return nil
	}
	return json.Unmarshal([]byte(links), &p.Links)
}

const noLinks = "[]"

func (r accountsReader) ProfileBySlug(ctx context.Context, slug string) (accounts.Profile, error) {
	if !core.ValidText(slug) {
		return accounts.Profile{}, accounts.ErrUserNotFound
	}
	return r.profile(ctx, withSlug, slug)
}

// withSlug is the condition of the profile that has a slug or had it.
const withSlug = "p.user_id = (SELECT o.user_id FROM ustat_profile_slugs AS o WHERE o.slug = ?)"

func (r accountsReader) ProfileOf(ctx context.Context, user core.UserID) (accounts.Profile, error) {
	return r.profile(ctx, "p.user_id = ?", user)
}

func (r accountsReader) profile(ctx context.Context, where string, arg any) (accounts.Profile, error) {
	found, err := r.profiles(ctx, "SELECT "+profileColumns+" FROM ustat_profiles AS p WHERE "+where, arg)
	if err != nil {
		return accounts.Profile{}, err
	}
	if len(found) == 0 {
		return accounts.Profile{}, accounts.ErrUserNotFound
	}
	return found[0], nil
}

func (r accountsReader) Profiles(ctx context.Context, q accounts.ProfileQuery) ([]accounts.Profile, error) {
	if !core.ValidText(q.After) {
		return nil, core.Invalid("after", "text", "", "", "valid UTF-8 without NUL is expected")
	}
	if q.Specialization != 0 {
		return r.profiles(ctx, profilesOf(r.db.dialect.JoinOrder), q.Specialization, q.After, q.Limit)
	}
	return r.profiles(ctx, "SELECT "+profileColumns+" FROM ustat_profiles AS p WHERE p.listed AND p.slug > ? ORDER BY p.slug LIMIT ?", q.After, q.Limit)
}

// profilesOf is the query for the profiles that have a specialization. The slug is
// kept beside it, so that an index gives them in order.
func profilesOf(join string) string {
	return "SELECT " + profileColumns + " FROM ustat_profile_specializations AS ps" + join + "ustat_profiles AS p" +
		" WHERE p.user_id = ps.user_id AND ps.specialization_id = ? AND ps.slug > ? AND p.listed ORDER BY ps.slug LIMIT ?"
}

// profiles reads profiles by one statement and their specializations by another.
func (r accountsReader) profiles(ctx context.Context, query string, args ...any) ([]accounts.Profile, error) {
	found, err := readAll(ctx, r.session, query, args, scanProfile)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	byUser := make(map[core.UserID]*accounts.Profile, len(found))
	ids := make([]core.UserID, len(found))
	for i := range found {
		ids[i], byUser[found[i].UserID] = found[i].UserID, &found[i]
	}
	type pair struct {
		user core.UserID
		accounts.Specialization
	}
	where, args := in(r.db, "ps.user_id", ids)
	pairs, err := readAll(ctx, r.session, "SELECT ps.user_id, s.id, s.slug, s.name FROM ustat_profile_specializations AS ps"+
		" JOIN ustat_specializations AS s ON s.id = ps.specialization_id WHERE "+where+" ORDER BY s.slug", args,
		func(rows *sql.Rows, p *pair) error { return rows.Scan(&p.user, &p.ID, &p.Slug, &p.Name) })
	for _, p := range pairs {
		profile := byUser[p.user]
		profile.Specializations = append(profile.Specializations, p.Specialization)
	}
	return found, err
}

func scanSpecialization(rows *sql.Rows, s *accounts.Specialization) error {
	return rows.Scan(&s.ID, &s.Slug, &s.Name)
}

func (r accountsReader) Specializations(ctx context.Context, after string, limit int) ([]accounts.Specialization, error) {
	if !core.ValidText(after) {
		return nil, core.Invalid("after", "text", "", "", "valid UTF-8 without NUL is expected")
	}
	return readAll(ctx, r.session, "SELECT id, slug, name FROM ustat_specializations WHERE slug > ? ORDER BY slug LIMIT ?", []any{after, limit}, scanSpecialization)
}

func (r accountsReader) SpecializationsBySlug(ctx context.Context, slugs []string) ([]accounts.Specialization, error) {
	slugs = slices.DeleteFunc(slices.Clone(slugs), func(s string) bool { return !core.ValidText(s) })
	if len(slugs) == 0 {
		return nil, nil
	}
	where, args := in(r.db, "slug", slugs)
	return readAll(ctx, r.session, "SELECT id, slug, name FROM ustat_specializations WHERE "+where, args, scanSpecialization)
}

func (r accountsReader) TeachersOf(ctx context.Context, producer core.UserID) ([]core.UserID, error) {
	return readAll(ctx, r.session, "SELECT teacher_id FROM ustat_producer_teachers WHERE producer_id = ? ORDER BY teacher_id", []any{producer}, scanUserID)
}

func scanUserID(rows *sql.Rows, id *core.UserID) error { return rows.Scan(id) }

func (t accountsTx) ProfileForUpdate(ctx context.Context, slug string) (accounts.Profile, error) {
	if !core.ValidText(slug) {
		return accounts.Profile{}, accounts.ErrUserNotFound
	}
	return t.profile(ctx, withSlug+t.Tx.db.dialect.ForUpdate, slug)
}

func (t accountsTx) UpdateProfile(ctx context.Context, p accounts.Profile) error {
	links := noLinks
	if len(p.Links) > 0 {
		text, err := json.Marshal(p.Links)
		if err != nil {
			return core.ErrInternal.Because(err)
		}
		links = string(text)
	}
	if err := checkText(1+2*len(p.Links), func(i int) []string {
		if i == 0 {
			return []string{p.Slug}
		}
		l := p.Links[(i-1)/2]
		return []string{l.Name, l.URL}
	}); err != nil {
		return err
	}
	stored, err := t.ProfileOf(ctx, p.UserID)
	if err != nil {
		return err
	}
	if stored.Version != p.Version {
		return core.ErrVersion
	}
	if err := t.checkSpecializations(ctx, p.Specializations); err != nil {
		return err
	}
	if p.Slug != stored.Slug {
		if err := t.takeSlug(ctx, p.UserID, p.Slug); err != nil {
			return err
		}
	}
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_profiles SET slug = ?, links = ?, version = version + 1 WHERE user_id = ? AND version = ?",
		p.Slug, links, p.UserID, p.Version)
	if err != nil {
		return err
	}
	if n == 0 {
		return core.ErrVersion
	}
	return t.setSpecializations(ctx, p)
}

func (t accountsTx) SetRating(ctx context.Context, user core.UserID, rating int) error {
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_profiles SET rating = ? WHERE user_id = ?", rating, user)
	return orMissing(n, err, accounts.ErrUserNotFound)
}

// takeSlug makes a slug one of a user's, unless it is another's or one too many.
func (t accountsTx) takeSlug(ctx context.Context, user core.UserID, slug string) error {
	const query = "SELECT slug, user_id FROM ustat_profile_slugs WHERE slug = ? UNION SELECT slug, user_id FROM ustat_profile_slugs WHERE user_id = ?"
	had, err := readAll(ctx, t.Tx.session, query, []any{slug, user}, func(rows *sql.Rows, row *profileSlugRow) error {
		return rows.Scan(&row.Slug, &row.UserID)
	})
	if err != nil {
		return err
	}
	for _, row := range had {
		if row.UserID != user {
			return accounts.ErrSlugTaken
		}
		if row.Slug == slug {
			return nil // it is taken back
		}
	}
	if len(had) > accounts.MaxOldSlugs {
		return accounts.ErrTooManySlugs
	}
	n, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_profile_slugs (slug, user_id) VALUES (?, ?) ON CONFLICT DO NOTHING", slug, user)
	if err == nil && n == 0 { // a concurrent writer was faster
		err = accounts.ErrSlugTaken
	}
	return err
}

// checkSpecializations fails with ErrSpecializationNotFound where one is missing, and
// keeps those that are there.
func (t accountsTx) checkSpecializations(ctx context.Context, list []accounts.Specialization) error {
	if len(list) == 0 {
		return nil
	}
	ids := make([]accounts.SpecializationID, len(list))
	for i, s := range list {
		ids[i] = s.ID
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	where, args := in(t.Tx.db, "id", ids)
	found, err := readAll(ctx, t.Tx.session, "SELECT id, slug, name FROM ustat_specializations WHERE "+where+" ORDER BY id"+t.Tx.db.dialect.ForShare, args, scanSpecialization)
	if err == nil && len(found) < len(ids) {
		err = accounts.ErrSpecializationNotFound
	}
	return err
}

type profileSpecializationRow struct {
	bun.BaseModel    `bun:"table:ustat_profile_specializations"`
	UserID           core.UserID               `bun:"user_id"`
	SpecializationID accounts.SpecializationID `bun:"specialization_id"`
	Slug             string                    `bun:"slug"` // the profile's
}

func (t accountsTx) setSpecializations(ctx context.Context, p accounts.Profile) error {
	if _, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_profile_specializations WHERE user_id = ?", p.UserID); err != nil || len(p.Specializations) == 0 {
		return err
	}
	rows := make([]profileSpecializationRow, len(p.Specializations))
	for i, s := range p.Specializations {
		rows[i] = profileSpecializationRow{UserID: p.UserID, SpecializationID: s.ID, Slug: p.Slug}
	}
	_, err := addRows(ctx, t.Tx, rows, doNothing)
	return err
}

func (t accountsTx) InsertSpecialization(ctx context.Context, s accounts.Specialization) (accounts.Specialization, error) {
	if err := checkText(1, func(int) []string { return []string{s.Slug, s.Name} }); err != nil {
		return s, err
	}
	err := t.Tx.rawScan(ctx, &s.ID, "INSERT INTO ustat_specializations (slug, name) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id", s.Slug, s.Name)
	if errors.Is(err, sql.ErrNoRows) {
		return accounts.Specialization{}, accounts.ErrSlugTaken
	}
	return s, err
}

func (t accountsTx) UpdateSpecialization(ctx context.Context, s accounts.Specialization) error {
	if err := checkText(1, func(int) []string { return []string{s.Slug, s.Name} }); err != nil {
		return err
	}
	same, err := t.SpecializationsBySlug(ctx, []string{s.Slug})
	if err != nil {
		return err
	}
	if len(same) > 0 && same[0].ID != s.ID {
		return accounts.ErrSlugTaken
	}
	n, err := t.Tx.rawExec(ctx, "UPDATE ustat_specializations SET slug = ?, name = ? WHERE id = ?", s.Slug, s.Name, s.ID)
	switch {
	case t.Tx.db.constraint(err) != "": // a concurrent writer was faster
		return accounts.ErrSlugTaken
	case err == nil && n == 0:
		return accounts.ErrSpecializationNotFound
	}
	return err
}

func (t accountsTx) DeleteSpecialization(ctx context.Context, id accounts.SpecializationID) error {
	// The row is taken first: a profile that is about to have it waits, or is seen.
	found, err := readAll(ctx, t.Tx.session, "SELECT id, slug, name FROM ustat_specializations WHERE id = ?"+t.Tx.db.dialect.ForUpdate, []any{id}, scanSpecialization)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return accounts.ErrSpecializationNotFound
	}
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_specializations WHERE id = ? AND NOT EXISTS (SELECT 1 FROM ustat_profile_specializations WHERE specialization_id = ?)", id, id)
	if err == nil && n == 0 {
		err = accounts.ErrInUse
	}
	return err
}

func (t accountsTx) LinkTeacher(ctx context.Context, producer, teacher core.UserID, at time.Time) (bool, error) {
	n, err := t.Tx.rawExec(ctx, "INSERT INTO ustat_producer_teachers (producer_id, teacher_id, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
		producer, teacher, core.Time(at))
	return n == 1, err
}

func (t accountsTx) UnlinkTeacher(ctx context.Context, producer, teacher core.UserID) (bool, error) {
	n, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_producer_teachers WHERE producer_id = ? AND teacher_id = ?", producer, teacher)
	return n == 1, err
}

func (t accountsTx) UnlinkAll(ctx context.Context, users ...core.UserID) error {
	if len(users) == 0 {
		return nil
	}
	_, err := t.Tx.rawExec(ctx, "DELETE FROM ustat_producer_teachers WHERE producer_id IN (?) OR teacher_id IN (?)", bun.List(users), bun.List(users))
	return err
}
