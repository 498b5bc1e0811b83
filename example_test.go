package ustat_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/storage/postgres"
	"github.com/ustat/ustat/storage/sqlite"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/tasks/riverqueue"
)

// A host that has a transaction of its own on SQLite writes its row and a course in
// it.
func ExamplePlatform_In() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "host")
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "host.db")+"?_txlock=immediate&_pragma=foreign_keys(1)&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		panic(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE launches (course TEXT)"); err != nil {
		panic(err)
	}
	backend, err := sqlite.Use(ctx, db, nil)
	if err != nil {
		panic(err)
	}
	platform, err := ustat.New(backend, nil)
	if err != nil {
		panic(err)
	}
	if err := platform.Start(ctx); err != nil {
		panic(err)
	}
	defer platform.Stop(ctx)

	for _, commit := range []bool{false, true} {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			panic(err)
		}
		if _, err := tx.Exec("INSERT INTO launches VALUES ('databases')"); err != nil {
			panic(err)
		}
		in, err := platform.In(tx)
		if err != nil {
			panic(err)
		}
		ada, err := in.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: "ada", Email: "ada@example.org", Role: core.Teacher})
		if err != nil {
			panic(err)
		}
		// A refused call does not poison the transaction.
		_, err = in.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: "ada", Email: "other@example.org", Role: core.Teacher})
		fmt.Println("taken:", errors.Is(err, accounts.ErrUsernameTaken))
		if _, err := in.Courses.Create(ctx, core.Actor{UserID: ada.ID, Role: ada.Role}, courses.NewCourse{Title: "Databases"}); err != nil {
			panic(err)
		}
		if commit {
			err = tx.Commit()
		} else {
			err = tx.Rollback()
		}
		if err != nil {
			panic(err)
		}
		var launches int
		if err := db.QueryRow("SELECT count(*) FROM launches").Scan(&launches); err != nil {
			panic(err)
		}
		_, err = platform.Courses.Course(ctx, accounts.System, "databases")
		fmt.Println("launches:", launches, "course:", err == nil)
	}
	// Output:
	// taken: true
	// launches: 0 course: false
	// taken: true
	// launches: 1 course: true
}

// A host on PostgreSQL joins in the same way, with pgx's database/sql driver.
func ExamplePlatform_In_postgreSQL() {
	ctx := context.Background()
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	if err != nil {
		panic(err)
	}
	defer db.Close()
	backend, err := postgres.Use(ctx, db, nil)
	if err != nil {
		panic(err)
	}
	platform, err := ustat.New(backend, nil)
	if err != nil {
		panic(err)
	}
	if err := platform.Start(ctx); err != nil {
		panic(err)
	}
	defer platform.Stop(ctx)

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		panic(err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	in, err := platform.In(tx)
	if err != nil {
		panic(err)
	}
	course, err := in.Courses.Create(ctx, accounts.System, courses.NewCourse{Title: "Databases", Teacher: "ada"})
	if err != nil {
		panic(err)
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO launches VALUES ($1)", course.Slug); err != nil {
		panic(err)
	}
	if err := tx.Commit(); err != nil {
		panic(err)
	}
}

// An embedder without a transaction of its own has the platform make one. On
// PostgreSQL the same works over postgres.Open and riverqueue.Postgres.
func ExamplePlatform_Atomic() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "host")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "school.db")
	backend, err := sqlite.Open(ctx, path, nil)
	if err != nil {
		panic(err)
	}
	queue, err := riverqueue.SQLite(ctx, path, nil)
	if err != nil {
		panic(err)
	}
	platform, err := ustat.New(backend, &ustat.Config{Queue: queue})
	if err != nil {
		panic(err)
	}
	created := make(chan string)
	if err := platform.Subscribe(tasks.Subscription{
		Name: "welcome", Types: []string{courses.EventCreated},
		Handle: func(_ context.Context, e core.Event) error {
			created <- e.Subject
			return nil
		},
	}); err != nil {
		panic(err)
	}
	if err := platform.Start(ctx); err != nil {
		panic(err)
	}
	defer platform.Stop(ctx)

	err = platform.Atomic(ctx, func(p *ustat.Platform) error {
		if _, err := p.Tx().ExecContext(ctx, "CREATE TABLE launches (course TEXT)"); err != nil {
			return err
		}
		ada, err := p.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: "ada", Email: "ada@example.org", Role: core.Teacher})
		if err != nil {
			return err
		}
		course, err := p.Courses.Create(ctx, core.Actor{UserID: ada.ID, Role: ada.Role}, courses.NewCourse{Title: "Databases"})
		if err != nil {
			return err
		}
		_, err = p.Tx().ExecContext(ctx, "INSERT INTO launches VALUES (?)", course.Slug)
		return err
	})
	fmt.Println("committed:", err == nil)
	fmt.Println("created:", <-created)
	// Output:
	// committed: true
	// created: course/1
}
