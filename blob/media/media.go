// Package media says what a file is by its content alone, and makes images safe to
// hand on. Nothing that a client says of a file counts.
package media

import (
	"bufio"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"

	"github.com/gabriel-vasile/mimetype"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
)

// The errors of this package.
var (
	ErrType     = &core.Error{Kind: core.KindInvalid, Code: "media.type", Message: "files of this type are not taken"}
	ErrBroken   = &core.Error{Kind: core.KindInvalid, Code: "media.broken", Message: "the image is broken"}
	ErrTooLarge = &core.Error{Kind: core.KindInvalid, Code: "media.too_large", Message: "the image has too many pixels"}
)

// types are what Sniff knows. HTML, SVG, XML, scripts and programs are none of them:
// what is recognized as something else than these is refused, also where it could pass
// for text.
var types = map[string]blob.Type{
	"video/mp4": blob.MP4, "video/x-m4v": blob.MP4, "video/webm": blob.WebM, "application/pdf": blob.PDF, "application/zip": blob.ZIP,
	"image/png": blob.PNG, "image/jpeg": blob.JPEG, "text/plain": blob.Text, "text/csv": blob.CSV,
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document":   blob.DOCX,
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":         blob.XLSX,
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": blob.PPTX,
	"application/vnd.oasis.opendocument.text":                                   blob.ODT,
	"application/vnd.oasis.opendocument.spreadsheet":                            blob.ODS,
	"application/vnd.oasis.opendocument.presentation":                           blob.ODP,
}

// Sniff returns what a file is by its first bytes, of which it reads a few thousand.
// What it does not know is ErrType; an error of r comes back as it is.
func Sniff(r io.Reader) (blob.Type, error) {
	found, err := mimetype.DetectReader(r)
	if err != nil {
		return "", err
	}
	for known, t := range types {
		if found.Is(known) {
			return t, nil
		}
	}
	return "", ErrType.With(core.Violation{Field: "file", Code: "type", Got: found.String(), Message: "files of this type are not taken"})
}

// The bounds of an image, so that reading one takes at most about 64 MiB.
const (
	// MaxPixels is how many pixels an image has at most.
	MaxPixels = 16 << 20
	// maxDeepPixels is of those that take many bytes a pixel while they are read: PNG of
	// 16 bits a channel, and progressive JPEG.
	maxDeepPixels = 4 << 20
	maxHeader     = 4 << 20 // bytes, which hold profiles and metadata
	quality       = 90      // of JPEG
)

// Images makes images anew, one at a time. Its zero value is not usable: see
// NewImages.
type Images struct{ turn chan struct{} }

// NewImages returns an Images, of which a process has one.
func NewImages() *Images { return &Images{make(chan struct{}, 1)} }

// Clean reads a PNG or a JPEG and writes one of the same type that has nothing but its
// pixels: no metadata, and nothing that stood beside them. It waits for its turn until
// ctx ends. It fails with ErrTooLarge, by the header and before any pixel is read, with
// ErrBroken, and with ErrType for another t.
func (i *Images) Clean(ctx context.Context, w io.Writer, r io.ReadSeeker, t blob.Type) error {
	select {
	case i.turn <- struct{}{}:
		defer func() { <-i.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := bounded(r, t); err != nil {
		return err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	decode, encode := png.Decode, png.Encode
	if t == blob.JPEG {
		decode = jpeg.Decode
		encode = func(w io.Writer, m image.Image) error { return jpeg.Encode(w, m, &jpeg.Options{Quality: quality}) }
	}
	in := &source{Reader: r}
	pixels, err := decode(bufio.NewReader(in))
	if err != nil {
		return in.blame(err)
	}
	return encode(w, pixels)
}

// source remembers the error of what is read, which is not the image's.
type source struct {
	io.Reader
	failed error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed = err
	}
	return n, err
}

// blame returns why an image could not be read.
func (s *source) blame(err error) error {
	if s.failed != nil {
		return s.failed
	}
	return ErrBroken.Because(err)
}

// bounded holds an image to its bounds by its header.
func bounded(r io.Reader, t blob.Type) error {
	var config image.Config
	var err error
	in := &source{Reader: r}
	head := &header{r: io.LimitReader(bufio.NewReader(in), maxHeader)}
	switch t {
	case blob.PNG:
		config, err = png.DecodeConfig(head)
	case blob.JPEG:
		config, err = jpeg.DecodeConfig(head)
	default:
		return ErrType
	}
	if err != nil {
		return in.blame(err)
	}
	deep := config.ColorModel == color.NRGBA64Model || config.ColorModel == color.RGBA64Model || head.progressive()
	most := int64(MaxPixels)
	if deep {
		most = maxDeepPixels
	}
	if int64(config.Width)*int64(config.Height) > most {
		return ErrTooLarge
	}
	return nil
}

// header remembers the last bytes of what a decoder of JPEG has read when it has come
// to the size: they begin with the marker of the frame.
type header struct {
	r    io.Reader
	read []byte
}

func (h *header) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.read = append(h.read, p[:n]...)
	return n, err
}

// progressive reports whether a frame of progressive JPEG has begun: its marker is
// looked for among the segments.
func (h *header) progressive() bool {
	b := h.read
	if len(b) < 4 || b[0] != 0xFF || b[1] != 0xD8 {
		return false
	}
	for at := 2; at+4 <= len(b) && b[at] == 0xFF; {
		switch marker := b[at+1]; {
		case marker == 0xC2:
			return true
		case marker == 0xFF: // padding
			at++
			continue
		case marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC:
			return false
		}
		at += 2 + int(b[at+2])<<8 + int(b[at+3])
	}
	return true // a strange one is held to the lesser bound
}
