package accounts

import (
	"context"

	"github.com/ustat/ustat/core"
)

// Hasher keeps passwords as hashes. Implementations are safe for concurrent use,
// and bound how much memory they take: where nothing is free for a while they fail
// with ErrPasswordsBusy. Package accounts/password has the usual one.
type Hasher interface {
	// Hash returns the hash of a password with a salt of its own.
	Hash(ctx context.Context, password core.Secret) (string, error)
	// Verify reports whether the hash is of that password, and whether it is not as
	// Hash would make it today. A hash that is empty or cannot be read is nobody's:
	// that takes as long to find out as with one of Hash. A hash of another kind or
	// cost may take another time.
	Verify(ctx context.Context, hash string, password core.Secret) (ok, outdated bool, err error)
}
