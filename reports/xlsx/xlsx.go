// Package xlsx writes reports as workbooks for spreadsheets.
//
//	ustat.Config{ReportFormats: []reports.Format{xlsx.Format}}
package xlsx

import (
	"archive/zip"
	"errors"
	"io"
	"math"
	"time"
	"unicode/utf16"

	"github.com/xuri/excelize/v2"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/reports"
)

// MaxRows is how many rows a sheet has at most, its header included.
const MaxRows = 1 << 20

// MaxText is how many UTF-16 units the text of a cell has at most.
const MaxText = 32_767

// The errors of what a sheet cannot hold.
var (
	ErrTooManyRows = &core.Error{Kind: core.KindInvalid, Code: "reports.too_many_rows", Message: "a sheet has at most 1,048,576 rows: ask for csv, or for less"}
	ErrTextTooLong = &core.Error{Kind: core.KindInvalid, Code: "reports.text_too_long", Message: "a cell of a sheet has at most 32,767 characters: ask for csv"}
)

// Format is a workbook of one sheet. Numbers, amounts and times are typed and text is
// text; rows beyond MaxRows are ErrTooManyRows, text beyond MaxText is ErrTextTooLong.
// What does not fit into 16 MiB waits in a temporary file until Close.
var Format = reports.Format{Name: "xlsx", Type: blob.XLSX, New: New}

type writer struct {
	file   *excelize.File
	stream *excelize.StreamWriter
	failed error
	rows   int
	values []any
	header int
	time   int
	number [5]int // the style of numbers by their digits after the point
}

// New returns a Writer of a workbook to a file, which gets all of it at Close.
func New(to io.Writer) (reports.Writer, error) {
	w := &writer{file: excelize.NewFile()}
	// The workbook is compressed into its place as it is read: without this all of it would
	// be made in memory first.
	w.file.SetZipWriter(func(io.Writer) excelize.ZipWriter { return zip.NewWriter(to) })
	if err := w.prepare(); err != nil {
		return nil, core.ErrInternal.Because(errors.Join(err, w.file.Close()))
	}
	return w, nil
}

func (w *writer) prepare() (err error) {
	if w.header, err = w.file.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}}); err != nil {
		return err
	}
	if w.time, err = w.style("yyyy-mm-dd hh:mm:ss"); err != nil {
		return err
	}
	for digits, format := range []string{"0", "0.0", "0.00", "0.000", "0.0000"} { // currencies have no more
		if w.number[digits], err = w.style(format); err != nil {
			return err
		}
	}
	if w.stream, err = w.file.NewStreamWriter("Sheet1"); err != nil {
		return err
	}
	return w.stream.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"})
}

func (w *writer) style(format string) (int, error) {
	return w.file.NewStyle(&excelize.Style{CustomNumFmt: &format})
}

// Row implements reports.Writer.
func (w *writer) Row(cells ...reports.Cell) error {
	if w.failed == nil {
		w.failed = w.row(cells)
	}
	return w.failed
}

func (w *writer) row(cells []reports.Cell) error {
	if w.rows == MaxRows {
		return ErrTooManyRows
	}
	w.values = w.values[:0]
	for _, c := range cells {
		v, err := w.value(c)
		if err != nil {
			return err
		}
		w.values = append(w.values, v)
	}
	w.rows++
	at, err := excelize.CoordinatesToCellName(1, w.rows)
	if err != nil {
		return core.ErrInternal.Because(err)
	}
	if err := w.stream.SetRow(at, w.values); err != nil {
		return core.ErrInternal.Because(err)
	}
	return nil
}

// exact is the largest whole number that a spreadsheet, which keeps 15 digits, shows
// as it is. Larger ones are text.
const exact = 999_999_999_999_999

// firstDay is the first one that a spreadsheet counts, but for a day in 1900 that
// never was.
var firstDay = time.Date(1900, 3, 1, 0, 0, 0, 0, time.UTC)

func (w *writer) value(c reports.Cell) (any, error) {
	switch c.Kind() {
	case reports.KindEmpty:
		return nil, nil
	case reports.KindInt:
		if n := c.Int(); n >= -exact && n <= exact {
			return n, nil
		}
	case reports.KindDecimal:
		return excelize.Cell{StyleID: w.number[2], Value: c.Decimal()}, nil
	case reports.KindMoney:
		if m := c.Money(); m.Minor >= -exact && m.Minor <= exact {
			return w.amount(m), nil
		}
	case reports.KindTime:
		if !c.Time().Before(firstDay) {
			return excelize.Cell{StyleID: w.time, Value: c.Time()}, nil
		}
	}
	text := c.String()
	if len(text) > MaxText && len(utf16.Encode([]rune(text))) > MaxText {
		return nil, ErrTextTooLong
	}
	if w.rows == 0 {
		return excelize.Cell{StyleID: w.header, Value: text}, nil
	}
	return text, nil
}

// amount returns money as the number that a spreadsheet adds up; of up to 15 digits
// a float shows each as it is.
func (w *writer) amount(m core.Money) any {
	digits := core.MinorDigits(m.Currency)
	return excelize.Cell{StyleID: w.number[digits], Value: float64(m.Minor) / math.Pow10(digits)}
}

// Close implements reports.Writer.
func (w *writer) Close() error {
	err := w.failed
	if err == nil {
		err = w.stream.Flush()
	}
	if err == nil {
		err = w.file.Write(io.Discard) // it goes to where New says
	}
	return errors.Join(err, w.file.Close()) // which removes the temporary files
}
