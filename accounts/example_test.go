package accounts_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/storage/sqlite"
)

// A student registers, and an admin makes her a teacher. Her token speaks for the
// new role at once, and for nobody when she is disabled.
func Example() {
	ctx := context.Background()
	backend, err := sqlite.InMemory(ctx, nil)
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
	people := platform.Accounts

	tokens, err := people.Register(ctx, accounts.Registration{
		Username: "ada", Email: "ada@example.org", Password: "correct horse",
	}, accounts.Client{Network: "192.0.2.1"})
	if err != nil {
		panic(err)
	}
	actor, err := people.Authenticate(ctx, string(tokens.Access))
	fmt.Println(actor.Role, err)

	_, err = people.AssignRole(ctx, actor, "ada", core.Admin)
	fmt.Println("herself:", errors.Is(err, core.ErrForbidden))
	if _, err := people.AssignRole(ctx, accounts.System, "ada", core.Teacher); err != nil {
		panic(err)
	}
	actor, err = people.Authenticate(ctx, string(tokens.Access))
	fmt.Println(actor.Role, err)

	if _, err := people.SetActive(ctx, accounts.System, "ada", false); err != nil {
		panic(err)
	}
	_, err = people.Authenticate(ctx, string(tokens.Access))
	fmt.Println("disabled:", errors.Is(err, accounts.ErrBadToken))
	fmt.Println(tokens.Access) // a secret does not print
	// Output:
	// student <nil>
	// herself: true
	// teacher <nil>
	// disabled: true
	// [secret]
}
