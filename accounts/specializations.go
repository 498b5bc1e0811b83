package accounts

import (
	"context"

	"github.com/ustat/ustat/core"
)

// NewSpecialization is what CreateSpecialization takes.
type NewSpecialization struct {
	Slug string `json:"slug" validate:"required,slug"`
	Name string `json:"name" validate:"required,max=100,line"`
}

// SpecializationEdit is what UpdateSpecialization takes. Nil fields are left as
// they are.
type SpecializationEdit struct {
	Slug *string `json:"slug" validate:"omitempty,slug"`
	Name *string `json:"name" validate:"omitempty,min=1,max=100,line"`
}

// Specializations returns a page of specializations by slug. Everyone may ask. One
// statement.
func (s *Service) Specializations(ctx context.Context, p core.Page) (Page[Specialization], error) {
	ctx = core.WithOperation(ctx, "accounts.Specializations")
	return core.ReadPage(s.cursors, "accounts.specializations", p,
		func(after string, limit int) ([]Specialization, error) {
			return s.store.Specializations(ctx, after, limit)
		},
		func(x Specialization) string { return x.Slug })
}

// Specialization returns one by slug, or fails with ErrSpecializationNotFound.
// Everyone may ask.
func (s *Service) Specialization(ctx context.Context, slug string) (Specialization, error) {
	return specialization(core.WithOperation(ctx, "accounts.Specialization"), s.store, slug)
}

func specialization(ctx context.Context, r ProfileReader, slug string) (Specialization, error) {
	found, err := r.SpecializationsBySlug(ctx, []string{slug})
	if err != nil {
		return Specialization{}, err
	}
	if len(found) == 0 {
		return Specialization{}, ErrSpecializationNotFound
	}
	return found[0], nil
}

// CreateSpecialization adds one; only an admin may. It fails with
// core.ErrForbidden, core.ErrInvalid or ErrSlugTaken, and leaves an audit row.
func (s *Service) CreateSpecialization(ctx context.Context, by core.Actor, in NewSpecialization) (Specialization, error) {
	ctx = core.WithOperation(ctx, "accounts.CreateSpecialization")
	if !mayManage(by) {
		return Specialization{}, refusal(by)
	}
	if err := s.validate.Struct(in); err != nil {
		return Specialization{}, err
	}
	var created Specialization
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) (err error) {
		if created, err = tx.InsertSpecialization(ctx, Specialization{Slug: in.Slug, Name: in.Name}); err != nil {
			return err
		}
		return s.noteSpecialization(ctx, tx, by, "created", in.Slug, map[string]any{"name": in.Name})
	})
	if err != nil {
		return Specialization{}, err
	}
	return created, nil
}

// UpdateSpecialization changes slug or name; only an admin may. It returns what is
// stored, and fails with core.ErrForbidden, core.ErrInvalid,
// ErrSpecializationNotFound or ErrSlugTaken. It leaves an audit row.
func (s *Service) UpdateSpecialization(ctx context.Context, by core.Actor, slug string, in SpecializationEdit) (Specialization, error) {
	ctx = core.WithOperation(ctx, "accounts.UpdateSpecialization")
	if !mayManage(by) {
		return Specialization{}, refusal(by)
	}
	if err := s.validate.Struct(in); err != nil {
		return Specialization{}, err
	}
	var updated Specialization
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		x, err := specialization(ctx, tx, slug)
		if err != nil {
			return err
		}
		if in.Slug != nil {
			x.Slug = *in.Slug
		}
		if in.Name != nil {
			x.Name = *in.Name
		}
		updated = x
		if err := tx.UpdateSpecialization(ctx, x); err != nil {
			return err
		}
		return s.noteSpecialization(ctx, tx, by, "updated", slug, map[string]any{"slug": x.Slug, "name": x.Name})
	})
	if err != nil {
		return Specialization{}, err
	}
	return updated, nil
}

// DeleteSpecialization removes one that no profile has; only an admin may. It fails
// with core.ErrForbidden, ErrSpecializationNotFound or ErrInUse, and leaves an audit
// row.
func (s *Service) DeleteSpecialization(ctx context.Context, by core.Actor, slug string) error {
	ctx = core.WithOperation(ctx, "accounts.DeleteSpecialization")
	if !mayManage(by) {
		return refusal(by)
	}
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		x, err := specialization(ctx, tx, slug)
		if err != nil {
			return err
		}
		if err := tx.DeleteSpecialization(ctx, x.ID); err != nil {
			return err
		}
		return s.noteSpecialization(ctx, tx, by, "deleted", slug, map[string]any{"name": x.Name})
	})
}

func (s *Service) noteSpecialization(ctx context.Context, tx Tx, by core.Actor, what, slug string, detail any) error {
	return s.note(ctx, tx, by, "accounts.specialization_"+what, "specialization/"+slug, true, detail)
}
