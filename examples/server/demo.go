package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/csv"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/analytics"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage"
	"github.com/ustat/ustat/transfer"
)

//go:embed demo/*.csv
var demoFiles embed.FS

// demoPassword is what the hashes in demo/users.csv are of. It is shorter than
// anybody may choose.
const demoPassword = "demo"

// fillDemo imports the demo data into a database that is empty.
func (p *program) fillDemo(ctx context.Context, platform *ustat.Platform, backend *storage.Backend) error {
	empty, err := isEmpty(ctx, backend)
	if err != nil || !empty {
		return err
	}
	files, err := fs.Sub(demoFiles, "demo")
	if err != nil {
		return err
	}
	var refused []string
	report, err := transfer.Import(ctx, backend, files, &transfer.Options{Refused: func(r transfer.Refusal) { refused = append(refused, r.String()) }})
	if err != nil {
		return err
	}
	if refused != nil {
		return fmt.Errorf("the demo data has bad rows:\n%s", strings.Join(refused, "\n"))
	}
	for _, teacher := range []string{"dmitry-orlov", "elena-sokolova", "sergey-belov"} {
		if err := platform.Accounts.LinkTeacher(ctx, accounts.System, "pavel-producer", teacher); err != nil {
			return err
		}
	}
	if err := trackDemo(ctx, platform, backend); err != nil {
		return err
	}
	p.log.InfoContext(ctx, "filled the empty database with demo data", "rows", report.Total().Inserted)
	return nil
}

// trackDemo tracks views: of each learner on the day before they enrolled, and of three
// visitors in the week before. Enrollments and what follows them are tracked by the
// platform, as after any import.
func trackDemo(ctx context.Context, platform *ustat.Platform, backend *storage.Backend) error {
	text, err := demoFiles.ReadFile("demo/enrollments.csv")
	if err != nil {
		return err
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		return err
	}
	const course, user, enrolled = 0, 1, 4 // columns
	var slugs, names []string
	for _, row := range rows[1:] {
		slugs, names = append(slugs, row[course]), append(names, row[user])
	}
	ids, err := platform.Courses.CourseIDs(ctx, slugs)
	if err != nil {
		return err
	}
	learners, err := backend.Accounts.UsersByName(ctx, names, nil)
	if err != nil {
		return err
	}
	users := map[string]core.UserID{}
	for _, u := range learners {
		users[u.Username] = u.ID
	}
	var events []analytics.Event
	for n, row := range rows[1:] {
		at, err := time.Parse(time.RFC3339, row[enrolled])
		if err != nil {
			return err
		}
		view := analytics.Event{Type: analytics.View, Course: ids[row[course]], User: users[row[user]], OccurredAt: at.AddDate(0, 0, -1)}
		events = append(events, view)
		for visitor := range 3 {
			view.User, view.Session, view.OccurredAt = 0, fmt.Sprintf("visit-%d-%d", n, visitor), at.AddDate(0, 0, -2-visitor)
			events = append(events, view)
		}
	}
	_, err = platform.Analytics.Track(ctx, analytics.Durable, events...)
	return err
}

// isEmpty reports whether the database has neither a user nor a category.
func isEmpty(ctx context.Context, backend *storage.Backend) (bool, error) {
	categories, err := backend.Courses.Categories(ctx, "", 1)
	if err != nil || len(categories) > 0 {
		return false, err
	}
	// The first id that an identity gives is 1.
	users, err := backend.Accounts.UsersByID(ctx, []core.UserID{1})
	return len(users) == 0, err
}

// demoLogins returns the demo users who still have the demo password, by role.
func demoLogins(ctx context.Context, backend *storage.Backend) ([]accounts.User, error) {
	file, err := demoFiles.Open("demo/users.csv")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return nil, err
	}
	const username, hash = 0, 5 // columns
	hashes := map[string]string{}
	var names []string
	for _, row := range rows[1:] {
		if row[hash] != "" {
			hashes[row[username]] = row[hash]
			names = append(names, row[username])
		}
	}
	stored, err := backend.Accounts.UsersByName(ctx, names, nil)
	var logins []accounts.User
	for _, role := range core.Roles {
		for _, u := range stored {
			if u.Role == role && u.Active && u.PasswordHash == hashes[u.Username] {
				logins = append(logins, u)
			}
		}
	}
	return logins, err
}
