// Package password hashes passwords with argon2id, and verifies Django's hashes
// beside its own, so that a platform that moves from Django keeps its logins.
//
// A hash takes 19 MiB, which are garbage afterwards. In a program whose own heap is
// smaller than that each sign-in begins a collection, which costs other requests
// milliseconds; debug.SetGCPercent(400) takes that away, and the reference server
// does so.
package password

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
)

// Argon2id is an accounts.Hasher: argon2id (RFC 9106) in PHC strings, by default
// with 19 MiB, 2 passes and 1 lane. Each hash takes a slot while it runs, which
// bounds the memory.
type Argon2id struct {
	cost  cost
	slots chan struct{}
}

// Options tune an Argon2id. Zero fields get their defaults.
type Options struct {
	// Memory is what one hash takes, in KiB, 8 to 262,144. Zero means 19,456.
	Memory uint32
	// Passes over the memory, 1 to 10. Zero means 2.
	Passes uint32
	// Slots is how many hashes run at once. Zero means half of GOMAXPROCS, and at
	// least 1, so that other work goes on.
	Slots int
}

// The bounds of what a stored hash may ask for, so that one that was imported
// cannot take all memory or time.
const (
	maxMemory     = 256 << 10 // KiB
	maxPasses     = 10
	maxLanes      = 8
	maxIterations = 10_000_000 // of Django's PBKDF2
	maxSalt       = 64         // bytes
	maxKey        = 64         // bytes
	maxText       = 512        // bytes of the whole string
)

const (
	keySize  = 32
	saltSize = 16
	// patience is how long a hash waits for a slot.
	patience = time.Second
)

type cost struct {
	memory, passes uint32
	lanes          uint8
}

// New returns an Argon2id, or core.ErrInvalid for options out of range.
func New(o Options) (*Argon2id, error) {
	if o.Memory == 0 {
		o.Memory = 19 << 10
	}
	if o.Passes == 0 {
		o.Passes = 2
	}
	if o.Slots == 0 {
		o.Slots = max(1, runtime.GOMAXPROCS(0)/2)
	}
	switch {
	case o.Memory < 8 || o.Memory > maxMemory:
		return nil, core.Invalid("Memory", "range", "8-262144", fmt.Sprint(o.Memory), "8 KiB to 256 MiB are expected")
	case o.Passes > maxPasses:
		return nil, core.Invalid("Passes", "range", "1-10", fmt.Sprint(o.Passes), "1 to 10 passes are expected")
	case o.Slots < 1:
		return nil, core.Invalid("Slots", "min", "1", strconv.Itoa(o.Slots), "at least one slot is needed")
	}
	return &Argon2id{cost{o.Memory, o.Passes, 1}, make(chan struct{}, o.Slots)}, nil
}

// Hash implements accounts.Hasher. A password longer than core.MaxPassword is
// core.ErrInvalid.
func (a *Argon2id) Hash(ctx context.Context, password core.Secret) (string, error) {
	if err := checkLength(password); err != nil {
		return "", err
	}
	release, err := a.take(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	h := hash{cost: a.cost, salt: make([]byte, saltSize)}
	rand.Read(h.salt)
	h.key = h.cost.key(password, h.salt, keySize)
	return h.String(), nil
}

// Verify implements accounts.Hasher. A password longer than core.MaxPassword is
// core.ErrInvalid.
//
// A hash that is nobody's takes as long as one of Hash. A hash of Django, or of other
// costs than today's, takes what it takes: one of 600,000 iterations several times as
// long. Until its user has signed in once, which replaces it, the time of an answer
// tells that there is such a user.
func (a *Argon2id) Verify(ctx context.Context, stored string, password core.Secret) (ok, outdated bool, err error) {
	if err := checkLength(password); err != nil {
		return false, false, err
	}
	release, err := a.take(ctx)
	if err != nil {
		return false, false, err
	}
	defer release()
	if h, known := parsePHC(stored); known {
		ok = same(h.cost.key(password, h.salt, len(h.key)), h.key)
		return ok, h.cost != a.cost || len(h.key) != keySize || len(h.salt) < saltSize, nil
	}
	if h, known := parseDjango(stored); known {
		key, err := pbkdf2.Key(sha256.New, string(password), []byte(h.salt), h.iterations, len(h.key))
		if err != nil {
			return false, false, core.ErrInternal.Because(err)
		}
		return same(key, h.key), true, nil
	}
	a.cost.key(password, make([]byte, saltSize), keySize) // nobody's
	return false, false, nil
}

// Known reports whether Verify can read a stored hash.
func Known(stored string) bool {
	_, phc := parsePHC(stored)
	_, django := parseDjango(stored)
	return phc || django
}

func checkLength(password core.Secret) error {
	if len(password) > core.MaxPassword {
		return core.Invalid("password", "max", strconv.Itoa(core.MaxPassword)+" bytes", "", "the password is longer than 1,024 bytes")
	}
	return nil
}

// take waits for a slot.
func (a *Argon2id) take(ctx context.Context) (release func(), err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case a.slots <- struct{}{}:
		return func() { <-a.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, accounts.ErrPasswordsBusy.After(time.Second)
	}
}

func (c cost) key(password core.Secret, salt []byte, size int) []byte {
	return argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.lanes, uint32(size))
}

func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// hash is one of ours, as its PHC string has it.
type hash struct {
	cost
	salt, key []byte
}

// String returns the PHC string: $argon2id$v=19$m=19456,t=2,p=1$salt$key.
func (h hash) String() string {
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.lanes, encode(h.salt), encode(h.key))
}

func parsePHC(s string) (h hash, ok bool) {
	if len(s) > maxText {
		return h, false
	}
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return h, false
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return h, false
	}
	memory, okM := number(costs[0], "m=", maxMemory)
	passes, okT := number(costs[1], "t=", maxPasses)
	lanes, okP := number(costs[2], "p=", maxLanes)
	h.cost = cost{uint32(memory), uint32(passes), uint8(lanes)}
	var okSalt, okKey bool
	h.salt, okSalt = decode(base64.RawStdEncoding, parts[4], 8, maxSalt)
	h.key, okKey = decode(base64.RawStdEncoding, parts[5], 16, maxKey)
	return h, okM && okT && okP && okSalt && okKey && memory >= 8*lanes
}

// django is pbkdf2_sha256$iterations$salt$key. The salt is text.
type django struct {
	iterations int
	salt       string
	key        []byte
}

func parseDjango(s string) (h django, ok bool) {
	if len(s) > maxText {
		return h, false
	}
	parts := strings.Split(s, "$")
	if len(parts) != 4 || parts[0] != "pbkdf2_sha256" || parts[2] == "" || len(parts[2]) > 2*maxSalt {
		return h, false
	}
	var okN, okKey bool
	h.iterations, okN = number(parts[1], "", maxIterations)
	h.salt = parts[2]
	h.key, okKey = decode(base64.StdEncoding, parts[3], 16, maxKey)
	return h, okN && okKey
}

// number reads a decimal of 1 to most behind a prefix.
func number(s, prefix string, most int) (int, bool) {
	digits, found := strings.CutPrefix(s, prefix)
	n, err := strconv.Atoi(digits)
	return n, found && err == nil && n >= 1 && n <= most && digits == strconv.Itoa(n)
}

func decode(encoding *base64.Encoding, s string, least, most int) ([]byte, bool) {
	b, err := encoding.Strict().DecodeString(s)
	return b, err == nil && len(b) >= least && len(b) <= most && !strings.ContainsAny(s, "\r\n")
}

var _ accounts.Hasher = (*Argon2id)(nil)
