package blob

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ustat/ustat/core"
)

// LinkKeySize is the least length of the key of Links in bytes.
const LinkKeySize = 32

// DefaultLinkTTL is how long a link is good for where nothing else is said.
const DefaultLinkTTL = 15 * time.Minute

// Links makes links to files that expire: whoever has one may fetch that file until
// then, and nothing else. A link is a token for the path of a URL, with a MAC over
// all that it says and what it is for.
//
// The zero Links has no key and refuses everything with core.ErrUnavailable until
// SetKey; it is safe for concurrent use.
type Links struct{ key atomic.Pointer[[]byte] }

// Link is what a token grants.
type Link struct {
	Key     Key
	Type    Type      // as which the file is served; empty is the type of Key
	Name    string    // under which the file is saved: 1 to 100 of a-z, A-Z, 0-9, _, . and -
	Expires time.Time // to the second, in UTC
}

// MediaType returns the type as which the file is served, as HTTP names it.
func (l *Link) MediaType() string { return cmp.Or(l.Type, l.Key.Type()).MediaType() }

// SetKey gives the secret, of at least LinkKeySize bytes; see core.CheckKey.
func (l *Links) SetKey(key []byte) error {
	if err := core.CheckKey("link key", key, LinkKeySize); err != nil {
		return err
	}
	key = bytes.Clone(key)
	l.key.Store(&key)
	return nil
}

// purpose keeps a MAC of Links from being one of anything else.
const (
	purpose = "ustat file link 1\n"
	macSize = 16
)

// maxToken is more than the longest token.
const maxToken = 512

type claims struct {
	Key     Key    `json:"k"`
	Type    Type   `json:"t,omitempty"`
	Name    string `json:"n"`
	Expires int64  `json:"e"` // Unix seconds
}

func (l *Links) mac(body []byte) ([]byte, error) {
	key := l.key.Load()
	if key == nil {
		return nil, core.ErrUnavailable.Withf("the platform has not been started: links have no key yet")
	}
	h := hmac.New(sha256.New, *key)
	h.Write([]byte(purpose))
	h.Write(body)
	return h.Sum(nil)[:macSize], nil
}

// Sign returns the token of a link. It fails with ErrKey, and with core.ErrInvalid
// for a name out of its bounds.
func (l *Links) Sign(link Link) (string, error) {
	if err := link.Key.Check(); err != nil {
		return "", err
	}
	if err := checkName(link.Name); err != nil {
		return "", err
	}
	body, err := json.Marshal(claims{link.Key, link.Type, link.Name, link.Expires.Unix()})
	if err != nil {
		return "", core.ErrInternal.Because(err)
	}
	mac, err := l.mac(body)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(mac, body...)), nil
}

// Open returns what a token grants at that time. One that this key did not sign is
// ErrLink, one whose time is over ErrExpired.
func (l *Links) Open(token string, now time.Time) (Link, error) {
	if len(token) > maxToken {
		return Link{}, ErrLink
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) < macSize {
		return Link{}, ErrLink
	}
	mac, err := l.mac(raw[macSize:])
	if err != nil {
		return Link{}, err
	}
	if !hmac.Equal(mac, raw[:macSize]) {
		return Link{}, ErrLink
	}
	var c claims
	if err := json.Unmarshal(raw[macSize:], &c); err != nil {
		return Link{}, ErrLink.Because(err)
	}
	link := Link{c.Key, c.Type, c.Name, time.Unix(c.Expires, 0).UTC()}
	if !now.Before(link.Expires) {
		return Link{}, ErrExpired
	}
	return link, nil
}

// checkName holds the name of a file to what needs no escape in a header.
func checkName(name string) error {
	ok := len(name) >= 1 && len(name) <= 100 && name[0] != '.'
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-')
	}
	if !ok {
		return core.Invalid("name", "filename", "1-100 of a-z A-Z 0-9 _ . -", strconv.Quote(name), "a plain file name is expected")
	}
	return nil
}
