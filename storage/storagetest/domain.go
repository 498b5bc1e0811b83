package storagetest

import (
	"context"
	"errors"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage"
)

// domain is what all stores have in common, over a row that has a name.
type domain struct {
	name   string
	outbox func(b *storage.Backend) core.Outbox
	update func(ctx context.Context, b *storage.Backend, fn func(ctx context.Context, tx rows) error) error
	// has reads outside a transaction whether there is a row of that name.
	has func(ctx context.Context, b *storage.Backend, name string) (bool, error)
}

// rows is a Tx over rows with a name.
type rows struct {
	core.Tx
	add func(ctx context.Context, names ...string) error
	has func(ctx context.Context, name string) (bool, error)
	// fault meets an error of the driver, which is no conflict.
	fault func(ctx context.Context) error
}

var accountsDomain = domain{
	name:   "accounts",
	outbox: func(b *storage.Backend) core.Outbox { return b.Accounts },
	update: func(ctx context.Context, b *storage.Backend, fn func(ctx context.Context, tx rows) error) error {
		return b.Accounts.Update(ctx, func(ctx context.Context, tx accounts.Tx) error {
			return fn(ctx, rows{
				Tx: tx,
				add: func(ctx context.Context, names ...string) error {
					users := make([]accounts.User, len(names))
					for i, name := range names {
						users[i] = person(name)
					}
					_, err := tx.InsertUsers(ctx, users)
					return err
				},
				has: func(ctx context.Context, name string) (bool, error) { return hasUser(ctx, tx, name) },
				fault: func(ctx context.Context) error {
					u := person("nobody")
					u.Role = "emperor"
					_, err := tx.InsertUsers(ctx, []accounts.User{u})
					return err
				},
			})
		})
	},
	has: func(ctx context.Context, b *storage.Backend, name string) (bool, error) {
		return hasUser(ctx, b.Accounts, name)
	},
}

func hasUser(ctx context.Context, r accounts.Reader, name string) (bool, error) {
	_, err := r.UserByUsername(ctx, name)
	if errors.Is(err, accounts.ErrUserNotFound) {
		return false, nil
	}
	return err == nil, err
}

func person(name string) accounts.User {
	return accounts.User{
		Username: name, Email: name + "@example.org", Role: core.Teacher, FullName: "Person " + name, ProfileSlug: accounts.DefaultSlug(name),
		Active: true, AuthVersion: 1, Version: 1, CreatedAt: day, UpdatedAt: day,
	}
}

var coursesDomain = domain{
	name:   "courses",
	outbox: func(b *storage.Backend) core.Outbox { return b.Courses },
	update: func(ctx context.Context, b *storage.Backend, fn func(ctx context.Context, tx rows) error) error {
		return b.Courses.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
			return fn(ctx, rows{
				Tx: tx,
				add: func(ctx context.Context, names ...string) error {
					categories := make([]courses.Category, len(names))
					for i, name := range names {
						categories[i] = courses.Category{Slug: name, Name: "Category " + name}
					}
					_, err := tx.InsertCategories(ctx, categories)
					return err
				},
				has: func(ctx context.Context, name string) (bool, error) { return hasCategory(ctx, tx, name) },
				fault: func(ctx context.Context) error {
					_, err := tx.InsertCourses(ctx, []courses.Course{{
						Slug: "odd", Title: "Odd", Status: "odd", Price: core.Money{Currency: "RUB"},
						Teacher: courses.Teacher{ID: 1}, CreatedAt: day, UpdatedAt: day,
					}})
					return err
				},
			})
		})
	},
	has: func(ctx context.Context, b *storage.Backend, name string) (bool, error) {
		return hasCategory(ctx, b.Courses, name)
	},
}

func hasCategory(ctx context.Context, r courses.TreeReader, name string) (bool, error) {
	found, err := r.CategoriesBySlug(ctx, []string{name})
	return len(found) > 0, err
}
