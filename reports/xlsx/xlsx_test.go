package xlsx_test

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/reports"
	"github.com/ustat/ustat/reports/xlsx"
)

func TestCellsAreTyped(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w, err := xlsx.Format.New(&out)
	require.NoError(t, err)
	at := time.Date(2026, 2, 28, 23, 59, 58, 0, time.UTC)
	require.NoError(t, w.Row(reports.Text("=head"), reports.Text("B"), reports.Text("C")))
	require.NoError(t, w.Row(
		reports.Text("=1+1"), reports.Int(-42), reports.Money(core.Money{Minor: 199901, Currency: "RUB"}), reports.Money(core.Money{Minor: 500, Currency: "JPY"}),
		reports.Decimal(4.5), reports.Time(at), reports.Cell{}, reports.Int(1<<62), reports.Time(at.AddDate(-1000, 0, 0)), reports.Text("Ёлка 🎓 <&> _x0041_"),
	))
	require.NoError(t, w.Close())

	f, err := excelize.OpenReader(bytes.NewReader(out.Bytes()))
	require.NoError(t, err)
	defer f.Close()
	for cell, want := range map[string]struct {
		shown, raw string
		kind       excelize.CellType
	}{
		"A1": {"'=head", "'=head", excelize.CellTypeInlineString},
		"A2": {"'=1+1", "'=1+1", excelize.CellTypeInlineString},
		"B2": {"-42", "-42", excelize.CellTypeUnset},
		"C2": {"1999.01", "1999.01", excelize.CellTypeUnset},
		"D2": {"500", "500", excelize.CellTypeUnset},
		"E2": {"4.50", "4.5", excelize.CellTypeUnset},
		"F2": {"2026-02-28 23:59:58", "46081.9999768519", excelize.CellTypeUnset},
		"G2": {"", "", excelize.CellTypeUnset},
		"H2": {"4611686018427387904", "4611686018427387904", excelize.CellTypeInlineString},
		"I2": {"1026-02-28T23:59:58Z", "1026-02-28T23:59:58Z", excelize.CellTypeInlineString},
		"J2": {"Ёлка 🎓 <&> _x0041_", "Ёлка 🎓 <&> _x0041_", excelize.CellTypeInlineString},
	} {
		shown, err := f.GetCellValue("Sheet1", cell)
		require.NoError(t, err)
		require.Equal(t, want.shown, shown, cell)
		raw, err := f.GetCellValue("Sheet1", cell, excelize.Options{RawCellValue: true})
		require.NoError(t, err)
		require.Equal(t, want.raw, raw, cell)
		kind, err := f.GetCellType("Sheet1", cell)
		require.NoError(t, err)
		require.Equal(t, want.kind, kind, cell)
		formula, err := f.GetCellFormula("Sheet1", cell)
		require.NoError(t, err)
		require.Empty(t, formula)
	}
}

func TestTextBeyondACellIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		strings.Repeat("x", xlsx.MaxText):     nil,
		strings.Repeat("ё", xlsx.MaxText):     nil,
		strings.Repeat("x", xlsx.MaxText+1):   xlsx.ErrTextTooLong,
		strings.Repeat("🎓", xlsx.MaxText/2+1): xlsx.ErrTextTooLong,
	} {
		var out bytes.Buffer
		w, err := xlsx.New(&out)
		require.NoError(t, err)
		require.ErrorIs(t, w.Row(reports.Text(text)), want)
		require.ErrorIs(t, w.Close(), want)
		require.Equal(t, want == nil, out.Len() > 0, "what has failed is not written")
	}
}

// TestMemoryDoesNotGrowWithTheRows also holds that no temporary file is left, be the
// report whole or given up.
func TestMemoryDoesNotGrowWithTheRows(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	rows, text := 11_500, strings.Repeat("a much longer title ", 80)
	if os.Getenv("USTAT_TEST_SCALE") != "" {
		rows, text = xlsx.MaxRows, strings.Repeat("a longer title ", 20)
	}
	peak := uint64(0)
	out := &counting{fail: -1}
	w, err := xlsx.New(out)
	require.NoError(t, err)
	for i := range rows {
		require.NoError(t, w.Row(reports.Int(int64(i)), reports.Text(text), reports.Decimal(float64(i)/3)))
		if i%(rows/50) == 0 {
			peak = max(peak, heap())
		}
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.NotEmpty(t, left, "the rows are in a file")
	out.watch = func() { peak = max(peak, heap()) }
	require.NoError(t, w.Close())
	t.Logf("%d rows, %d bytes written, %d MiB of heap at most", rows, out.n, peak>>20)
	require.Less(t, peak, uint64(160<<20))
	require.Greater(t, out.n, rows)

	given, err := xlsx.New(&counting{fail: 1000})
	require.NoError(t, err)
	for i := range rows {
		require.NoError(t, given.Row(reports.Int(int64(i)), reports.Text(text), reports.Decimal(float64(i)/3)))
	}
	require.ErrorIs(t, given.Close(), errFull)
	left, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	if rows == xlsx.MaxRows {
		refuseOneMore(t)
	}
}

// refuseOneMore writes a full sheet of narrow rows and one more.
func refuseOneMore(t *testing.T) {
	w, err := xlsx.New(&counting{fail: -1})
	require.NoError(t, err)
	for range xlsx.MaxRows {
		require.NoError(t, w.Row(reports.Int(1)))
	}
	require.ErrorIs(t, w.Row(reports.Int(1)), xlsx.ErrTooManyRows)
	require.ErrorIs(t, w.Close(), xlsx.ErrTooManyRows)
}

var errFull = errors.New("full")

// counting counts what is written, and fails beyond a number of bytes.
type counting struct {
	n, fail int
	watch   func()
}

func (c *counting) Write(p []byte) (int, error) {
	if c.n += len(p); c.fail >= 0 && c.n > c.fail {
		return 0, errFull
	}
	if c.watch != nil {
		c.watch()
	}
	return len(p), nil
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
