package core

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"sync/atomic"
)

// The bounds of a page.
const (
	DefaultLimit = 20
	MaxLimit     = 100
)

// Page asks for one page of a list.
type Page struct {
	Limit  int    // 1 to MaxLimit; zero means DefaultLimit
	Cursor string // what the page before gave as next; empty for the first page
}

// Size returns the limit with its default, or an ErrInvalid for field "limit".
func (p Page) Size() (int, error) {
	switch {
	case p.Limit == 0:
		return DefaultLimit, nil
	case p.Limit < 1 || p.Limit > MaxLimit:
		return 0, Invalid("limit", "range", "1-"+strconv.Itoa(MaxLimit), strconv.Itoa(p.Limit), "the limit is between 1 and 100")
	}
	return p.Limit, nil
}

// PageOf is one page of a list.
type PageOf[T any] struct {
	Items []T
	Next  string // the cursor of the page after this one; empty on the last
}

// ReadPage returns a page of a list, which Cursors.Seal explains. Read is called once,
// with the position that the page begins behind (zero for the first page) and one more
// than the rows of the page, so that it is seen whether there is another; position gives
// that of a row. It fails with ErrInvalid for field "limit", with ErrCursor, and as read
// does.
func ReadPage[T, P any](cursors *Cursors, list string, page Page,
	read func(after P, limit int) ([]T, error), position func(row T) P,
) (PageOf[T], error) {
	limit, err := page.Size()
	if err != nil {
		return PageOf[T]{}, err
	}
	var after P
	if page.Cursor != "" {
		if err := cursors.Open(list, page.Cursor, &after); err != nil {
			return PageOf[T]{}, err
		}
	}
	rows, err := read(after, limit+1)
	if err != nil || len(rows) <= limit {
		return PageOf[T]{Items: rows}, err
	}
	next, err := cursors.Seal(list, position(rows[limit-1]))
	return PageOf[T]{Items: rows[:limit], Next: next}, err
}

// Cursors seals typed keyset positions into opaque cursors and opens them again.
// A cursor carries a MAC over the position and the list it belongs to, so a
// client can neither alter it nor use it with another sort or filter. It is not
// encrypted: positions hold nothing that the list itself does not show.
//
// The zero Cursors has no key and refuses everything with ErrUnavailable until
// SetKey; it is safe for concurrent use.
type Cursors struct{ key atomic.Pointer[[]byte] }

// CursorKeySize is the least length of a key in bytes.
const CursorKeySize = 32

// SetKey gives the secret. CheckKey says which ones are refused.
func (c *Cursors) SetKey(key []byte) error {
	if err := CheckKey("cursor key", key, CursorKeySize); err != nil {
		return err
	}
	key = bytes.Clone(key)
	c.key.Store(&key)
	return nil
}

const macSize = 16

func (c *Cursors) mac(list string, body []byte) ([]byte, error) {
	key := c.key.Load()
	if key == nil {
		return nil, ErrUnavailable.Withf("the platform has not been started: cursors have no key yet")
	}
	h := hmac.New(sha256.New, *key)
	h.Write([]byte(strconv.Itoa(len(list)) + ":" + list))
	h.Write(body)
	return h.Sum(nil)[:macSize], nil
}

// Seal returns the cursor of a position in a list. List names all that the order
// and the set depend on: the operation, the sort, every filter, what the actor may
// see. The position is anything that encoding/json takes both ways.
func (c *Cursors) Seal(list string, position any) (string, error) {
	body, err := json.Marshal(position)
	if err != nil {
		return "", ErrInternal.Because(err)
	}
	mac, err := c.mac(list, body)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(mac, body...)), nil
}

// Open checks a cursor and reads its position. A cursor that this key did not
// seal for this very list is ErrCursor.
func (c *Cursors) Open(list, cursor string, position any) error {
	if len(cursor) > 1024 {
		return ErrCursor
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < macSize {
		return ErrCursor
	}
	mac, err := c.mac(list, raw[macSize:])
	if err != nil {
		return err
	}
	if !hmac.Equal(mac, raw[:macSize]) {
		return ErrCursor
	}
	decoder := json.NewDecoder(bytes.NewReader(raw[macSize:]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(position); err != nil {
		return ErrCursor.Because(err)
	}
	return nil
}
