package recommend

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
)

// A kept model is a row of frames: length, checksum, bytes. The last one is empty, so that a
// model that was cut short is known, and nothing is parsed that was changed.

const frameSize = 1 << 18

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encoder writes values into frames. The first error sticks, and end returns it.
type encoder struct {
	w   io.Writer
	buf []byte
	err error
}

func (e *encoder) flush() {
	if e.err != nil {
		return
	}
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(e.buf)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(e.buf, castagnoli))
	if _, e.err = e.w.Write(head[:]); e.err == nil && len(e.buf) > 0 {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

func (e *encoder) room(n int) {
	if len(e.buf)+n > frameSize {
		e.flush()
	}
}

func (e *encoder) uint(x uint64) {
	e.room(binary.MaxVarintLen64)
	e.buf = binary.AppendUvarint(e.buf, x)
}

func (e *encoder) float(x float64) {
	e.room(8)
	e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(x))
}

func (e *encoder) text(s string) {
	e.uint(uint64(len(s)))
	for len(s) > 0 {
		n := min(len(s), frameSize/2)
		e.room(n)
		e.buf = append(e.buf, s[:n]...)
		s = s[n:]
	}
}

func (e *encoder) end() error {
	if len(e.buf) > 0 {
		e.flush()
	}
	e.flush()
	return e.err
}

// decoder reads what an encoder wrote. The first error sticks; then every value is zero.
type decoder struct {
	r   *bufio.Reader
	buf []byte
	at  int
	err error
}

func newDecoder(r io.Reader) *decoder { return &decoder{r: bufio.NewReaderSize(r, frameSize)} }

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.buf, d.at = nil, 0
}

// frame reads the next frame.
func (d *decoder) frame() {
	var head [8]byte
	if _, err := io.ReadFull(d.r, head[:]); err != nil {
		d.fail(broken(err))
		return
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > frameSize {
		d.fail(ErrBrokenModel)
		return
	}
	if cap(d.buf) < int(n) {
		d.buf = make([]byte, frameSize)
	}
	d.buf, d.at = d.buf[:n], 0
	if _, err := io.ReadFull(d.r, d.buf); err != nil {
		d.fail(broken(err))
	} else if crc32.Checksum(d.buf, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		d.fail(ErrBrokenModel)
	}
}

// broken tells a model that is cut short from a reader that failed.
func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrBrokenModel.Because(err)
	}
	return err
}

// need makes sure that there is something to read, unless the model is at its end.
func (d *decoder) need() bool {
	if d.err == nil && d.at == len(d.buf) {
		if d.frame(); d.err == nil && len(d.buf) == 0 {
			d.fail(ErrBrokenModel)
		}
	}
	return d.err == nil
}

func (d *decoder) uint(most uint64) uint64 {
	if !d.need() {
		return 0
	}
	x, n := binary.Uvarint(d.buf[d.at:])
	if n <= 0 || x > most {
		d.fail(ErrBrokenModel)
		return 0
	}
	d.at += n
	return x
}

func (d *decoder) float() float64 {
	if !d.need() {
		return 0
	}
	if len(d.buf)-d.at < 8 {
		d.fail(ErrBrokenModel)
		return 0
	}
	x := math.Float64frombits(binary.LittleEndian.Uint64(d.buf[d.at:]))
	d.at += 8
	if math.IsNaN(x) {
		d.fail(ErrBrokenModel)
	}
	return x
}

// maxText bounds a text of a kept model.
const maxText = 1 << 24

func (d *decoder) text() string {
	n := int(d.uint(maxText))
	var out []byte
	for len(out) < n && d.need() {
		part := d.buf[d.at:min(len(d.buf), d.at+n-len(out))]
		out = append(out, part...)
		d.at += len(part)
	}
	return string(out)
}

// end checks that nothing follows but the empty frame.
func (d *decoder) end() error {
	if d.err == nil && d.at != len(d.buf) {
		d.fail(ErrBrokenModel)
	}
	if d.err == nil {
		if d.frame(); d.err == nil && len(d.buf) != 0 {
			d.fail(ErrBrokenModel)
		}
	}
	return d.err
}
