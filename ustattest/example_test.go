package ustattest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/tasks"
	"github.com/ustat/ustat/ustattest"
)

// A school sends a mail about each new course. Its test has events delivered when it
// says so, moves the clock to the next attempt, and sees what has become of them.
func Example() {
	t := new(exampleT) // a test has a *testing.T
	defer t.end()
	ctx := context.Background()

	serverIsDown := true
	mail := tasks.Subscription{Name: "mail", Types: []string{courses.EventCreated}, Handle: func(_ context.Context, e core.Event) error {
		if serverIsDown {
			return errors.New("the server is down")
		}
		fmt.Println("mail about", e.Type)
		return nil
	}}
	p := ustattest.New(t, ustattest.WithSetup(func(p *ustat.Platform) error { return p.Subscribe(mail) }))
	if _, err := p.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{Username: "anna", Email: "anna@example.org", Role: core.Teacher}); err != nil {
		panic(err)
	}
	if _, err := p.Courses.Create(ctx, accounts.System, courses.NewCourse{Title: "Databases", Teacher: "anna"}); err != nil {
		panic(err)
	}
	for _, e := range p.Events(t) {
		fmt.Println("emitted:", e.Type)
	}
	for range 2 {
		if err := p.Drain(ctx); err != nil {
			panic(err)
		}
		job := p.Recorded(t, "events.mail")[0]
		event, _ := job.Event()
		fmt.Println(job.Kind, "of", event.Type, "is", job.State, "after", job.Attempt, "attempts, failed:", len(job.Failures))
		serverIsDown = false
		p.Clock.Advance(time.Second) // when it is tried again
	}
	fmt.Println(ustattest.CheckInvariants(ctx, p.Backend))
	// Output:
	// emitted: accounts.user_created
	// emitted: courses.created
	// events.mail of courses.created is waiting after 1 attempts, failed: 1
	// mail about courses.created
	// events.mail of courses.created is done after 2 attempts, failed: 1
	// <nil>
}

// exampleT stands for the *testing.T that an example has none of.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (*exampleT) Helper()                             {}
func (t *exampleT) Cleanup(f func())                  { t.cleanups = append(t.cleanups, f) }
func (*exampleT) Fatalf(format string, args ...any)   { panic(fmt.Sprintf(format, args...)) }
func (t *exampleT) Errorf(format string, args ...any) { t.Fatalf(format, args...) }

func (t *exampleT) end() {
	for _, f := range t.cleanups {
		f()
	}
}
