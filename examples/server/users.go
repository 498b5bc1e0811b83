package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ustat/ustat"
	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
)

type userCmd struct {
	Create userCreateCmd `cmd:"" help:"Create a user."`
	Role   userRoleCmd   `cmd:"" help:"Give a user another role."`
}

type userCreateCmd struct {
	Username string `required:"" help:"3 to 64 of a-z, 0-9, _, . and -."`
	Email    string `required:"" help:"The e-mail address."`
	Role     string `required:"" enum:"student,teacher,producer,admin" help:"student, teacher, producer or admin."`
	FullName string `help:"The name that others see."`
	Password string `help:"8 to 1,024 bytes. Without it, the first line of standard input where that is no terminal; empty: the user cannot sign in."`
}

// Run creates a user.
func (c *userCreateCmd) Run(ctx context.Context, p *program) error {
	password, err := c.password(p.stdin)
	if err != nil {
		return err
	}
	return p.asOperator(ctx, func(platform *ustat.Platform) error {
		user, err := platform.Accounts.CreateUser(ctx, accounts.System, accounts.NewUser{
			Username: c.Username, Email: c.Email, Role: core.Role(c.Role), FullName: c.FullName, Password: password,
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "created %s %s\n", user.Role, user.Username)
		return nil
	})
}

// password returns that of the flag, or the first line of standard input unless a
// person would have to type it.
func (c *userCreateCmd) password(stdin io.Reader) (core.Secret, error) {
	if c.Password != "" || isTerminal(stdin) {
		return core.Secret(c.Password), nil
	}
	const most = core.MaxPassword + 2 // what is longer is refused as too long
	text, err := io.ReadAll(io.LimitReader(stdin, most))
	if err != nil {
		return "", fmt.Errorf("the password cannot be read from standard input: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return core.Secret(strings.TrimSuffix(line, "\r")), nil
}

// isTerminal reports whether a person sits at the other end.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

type userRoleCmd struct {
	Username string `required:"" help:"The user."`
	Role     string `required:"" enum:"student,teacher,producer,admin" help:"student, teacher, producer or admin."`
}

// Run gives a user another role.
func (c *userRoleCmd) Run(ctx context.Context, p *program) error {
	return p.asOperator(ctx, func(platform *ustat.Platform) error {
		user, err := platform.Accounts.AssignRole(ctx, accounts.System, c.Username, core.Role(c.Role))
		if err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "%s is %s\n", user.Username, user.Role)
		return nil
	})
}

// asOperator runs f on a started platform. What f finds wrong with the input is the
// fault of the command line.
func (p *program) asOperator(ctx context.Context, f func(platform *ustat.Platform) error) (err error) {
	platform, _, err := p.start(ctx, new(ustat.Config))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, platform.Stop(context.WithoutCancel(ctx))) }()
	err = f(platform)
	if core.KindOf(err) == core.KindInvalid {
		return usageError{err}
	}
	return err
}
