package analytics

import (
	"bytes"

	"github.com/axiomhq/hyperloglog"

	"github.com/ustat/ustat/core"
)

// Viewers is the sketch of the unique viewers of a course: 2^14 registers of a
// HyperLogLog, with a standard error of 0.8 %. Equal sets of viewers have equal sketches,
// in whatever order they came. The zero Viewers has none.
type Viewers struct{ sketch *hyperloglog.Sketch }

// maxSparse is from how many bytes on a sketch is kept as registers. It is well below
// where the library itself would change over, which depends on the order.
const maxSparse = 6000

// Add adds viewers by their hashes.
func (v *Viewers) Add(hashes ...uint64) error {
	if v.sketch == nil {
		v.sketch = hyperloglog.New()
	}
	for _, h := range hashes {
		v.sketch.InsertHash(h)
	}
	v.sketch.Estimate() // brings a sparse sketch in order
	body, err := v.sketch.MarshalBinary()
	if err != nil || len(body) <= maxSparse || body[3] == 0 { // registers already
		return err
	}
	dense := hyperloglog.NewNoSparse()
	if err := dense.Merge(v.sketch); err != nil {
		return core.ErrInternal.Because(err)
	}
	v.sketch = dense
	return nil
}

// Count returns about how many viewers there are.
func (v *Viewers) Count() int64 {
	if v.sketch == nil {
		return 0
	}
	return int64(v.sketch.Estimate())
}

// MarshalBinary implements encoding.BinaryMarshaler; the same viewers give the same bytes.
func (v *Viewers) MarshalBinary() ([]byte, error) {
	if v.sketch == nil {
		return nil, nil
	}
	v.sketch.Estimate()
	return v.sketch.MarshalBinary()
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (v *Viewers) UnmarshalBinary(body []byte) error {
	v.sketch = nil
	if len(body) == 0 {
		return nil
	}
	s := hyperloglog.New()
	if len(body) < 8 || s.UnmarshalBinary(bytes.Clone(body)) != nil {
		return core.ErrInternal.Withf("a stored sketch of viewers cannot be read")
	}
	v.sketch = s
	return nil
}
