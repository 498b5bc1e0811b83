// Package blob keeps files: what jobs write and people fetch by a link. [Dir] keeps
// them in a folder, package blob/s3 in a bucket, and [Links] makes the links.
//
// The name of a file is a [Key] that is made here, and its type is one of a fixed
// list: nothing of either is ever taken from a client.
package blob

import (
	"context"
	"crypto/rand"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ustat/ustat/core"
)

// Store keeps files. Implementations are safe for concurrent use and pass
// blobtest.Run.
type Store interface {
	// Put keeps what r gives, until it ends, under a key, in place of what was there,
	// and returns its size in bytes. The file is seen when it is whole, and never
	// before: where r fails, ctx ends or the process dies, what was there stays. Memory
	// does not grow with the file. One of more bytes than the store takes is
	// ErrTooLarge; a key that NewKey has not made is ErrKey.
	Put(ctx context.Context, key Key, r io.Reader) (int64, error)
	// Open returns a file, which the caller closes. It fails with ErrNotFound and with
	// ErrKey. Reading goes on only while ctx does.
	Open(ctx context.Context, key Key) (*File, error)
	// Delete removes a file. One that is not there is no error; ErrKey is.
	Delete(ctx context.Context, key Key) error
}

// File is an open file.
type File struct {
	io.ReadSeekCloser
	Size    int64     // bytes
	ModTime time.Time // when it was put, in UTC
}

// The errors of files and links.
var (
	ErrKey      = &core.Error{Kind: core.KindInvalid, Code: "blob.bad_key", Message: "this is no name of a file"}
	ErrNotFound = &core.Error{Kind: core.KindNotFound, Code: "blob.not_found", Message: "there is no such file"}
	ErrTooLarge = &core.Error{Kind: core.KindInvalid, Code: "blob.too_large", Message: "the file is larger than is kept here"}
	ErrLink     = &core.Error{Kind: core.KindForbidden, Code: "blob.bad_link", Message: "the link is not valid"}
	ErrExpired  = &core.Error{Kind: core.KindForbidden, Code: "blob.link_expired", Message: "the link has expired: ask for another one"}
)

// Type is what a file is, as the extension of its name.
type Type string

// The types that files can have.
const (
	CSV  Type = "csv"
	XLSX Type = "xlsx"
	DOCX Type = "docx"
	PPTX Type = "pptx"
	ODT  Type = "odt"
	ODS  Type = "ods"
	ODP  Type = "odp"
	PDF  Type = "pdf"
	ZIP  Type = "zip"
	Text Type = "txt"
	PNG  Type = "png"
	JPEG Type = "jpg"
	MP4  Type = "mp4"
	WebM Type = "webm"
	Raw  Type = "bin" // of bytes whose type is not known when they are put
)

var mediaTypes = map[Type]string{
	CSV:  "text/csv; charset=utf-8",
	XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	DOCX: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	PPTX: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	ODT:  "application/vnd.oasis.opendocument.text",
	ODS:  "application/vnd.oasis.opendocument.spreadsheet",
	ODP:  "application/vnd.oasis.opendocument.presentation",
	PDF:  "application/pdf",
	ZIP:  "application/zip",
	Text: "text/plain; charset=utf-8",
	PNG:  "image/png",
	JPEG: "image/jpeg",
	MP4:  "video/mp4",
	WebM: "video/webm",
	Raw:  "application/octet-stream",
}

// Types returns every type, in order.
func Types() []Type { return slices.Sorted(maps.Keys(mediaTypes)) }

// MediaType returns the type as HTTP names it. Of what is none of the types above it
// is application/octet-stream.
func (t Type) MediaType() string {
	if media, ok := mediaTypes[t]; ok {
		return media
	}
	return "application/octet-stream"
}

// Key is the name of a file in a Store: 26 random letters and digits, a dot and its
// type. It cannot be guessed, and yet grants nothing by itself.
type Key string

// NewKey returns a fresh key for a file of one of the types above; another type is a
// programmer's error and panics.
func NewKey(t Type) Key {
	if _, ok := mediaTypes[t]; !ok {
		panic("blob: there is no type " + strconv.Quote(string(t)))
	}
	return Key(strings.ToLower(rand.Text()) + "." + string(t))
}

// randomSize is how many characters rand.Text has.
const randomSize = 26

// Check returns ErrKey for what NewKey cannot have made. Stores call it first.
func (k Key) Check() error {
	name, t, _ := strings.Cut(string(k), ".")
	if _, ok := mediaTypes[Type(t)]; !ok || len(name) != randomSize {
		return ErrKey
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') { // base32
			return ErrKey
		}
	}
	return nil
}

// Type returns the type that the key was made for.
func (k Key) Type() Type {
	_, t, _ := strings.Cut(string(k), ".")
	return Type(t)
}

// DefaultMaxSize is how many bytes a file has at most where nothing else is said.
const DefaultMaxSize = 1 << 30

// Options sets what differs from the defaults of a Store. Nil Options are all
// defaults.
type Options struct {
	// MaxSize is how many bytes a file may have, from 1. Zero means DefaultMaxSize.
	MaxSize int64
}

// Limit returns the largest size of a file, or core.ErrInvalid. Stores call it.
func (o *Options) Limit() (int64, error) {
	switch {
	case o == nil || o.MaxSize == 0:
		return DefaultMaxSize, nil
	case o.MaxSize < 0:
		return 0, core.Invalid("MaxSize", "min", "1", strconv.FormatInt(o.MaxSize, 10), "a file has at least a byte's room")
	}
	return o.MaxSize, nil
}

// Bound returns a reader of r that fails with ErrTooLarge after limit bytes, and with
// the error of ctx once that has ended. Stores read what is put through it.
func Bound(ctx context.Context, r io.Reader, limit int64) io.Reader {
	return &bounded{ctx: ctx, r: r, left: limit}
}

type bounded struct {
	ctx  context.Context
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}
