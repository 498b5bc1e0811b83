// Package certificate makes certificates of courses as PDF documents of one page, in
// Russian, in English, and in what languages an embedder adds.
//
//	ustat.Config{Certificates: certificate.New(certificate.Options{Issuer: "School of Go"})}
//
// The font is DejaVu Serif (see DejaVuSerif.LICENSE), which has Latin, Cyrillic with
// its Kazakh letters, Greek, Armenian and Georgian. A document holds only the letters
// that it shows.
package certificate

import (
	"bytes"
	_ "embed"
	"io"
	"strconv"
	"strings"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/sfnt"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/i18n"
)

//go:embed DejaVuSerif.ttf
var dejaVuSerif []byte

// ErrLetters is for a text with letters that the font does not have; the violation
// names the field and the letters.
var ErrLetters = &core.Error{Kind: core.KindFailedPrecondition, Code: "certificate.letters", Message: "the font of certificates does not have all of the letters"}

// Options says what all certificates of a platform have in common.
type Options struct {
	// Issuer is who issues them, one line of at most 200 characters. Empty is nobody.
	Issuer string
	// VerifyURL is where anybody checks a code, which is put behind it, such as
	// "https://school.example/certificates/". Empty shows the code alone.
	VerifyURL string
	// Font is a TrueType font for letters that the own one does not have. It must be one
	// that may be embedded. Nil means DejaVu Serif.
	Font []byte
	// Messages has the texts of certificates, those whose keys begin with "certificate.".
	// Nil means the built-in ones, which are Russian and English.
	Messages *i18n.Catalog
}

// Printer makes PDF documents. It implements courses.CertificateRenderer and is safe
// for concurrent use.
type Printer struct {
	options Options
	letters *sfnt.Font
}

// New returns a Printer. It fails with core.ErrInvalid for an Issuer or a VerifyURL
// that is no line or too long, and for a Font that is none.
func New(o Options) (*Printer, error) {
	for _, field := range []struct{ name, text string }{{"Issuer", o.Issuer}, {"VerifyURL", o.VerifyURL}} {
		if field.text != "" && (!core.IsLine(field.text) || len([]rune(field.text)) > 200) {
			return nil, core.Invalid(field.name, "line", "200", strconv.Quote(field.text), "one line of at most 200 characters is expected")
		}
	}
	if o.Font == nil {
		o.Font = dejaVuSerif
	}
	if o.Messages == nil {
		built, err := i18n.NewCatalog(nil)
		if err != nil {
			return nil, err
		}
		o.Messages = built
	}
	letters, err := sfnt.Parse(o.Font)
	if err != nil {
		return nil, core.Invalid("Font", "font", "TrueType", "", "this is no TrueType font").Because(err)
	}
	return &Printer{o, letters}, nil
}

// The page is a landscape A4, in millimetres.
const (
	pageWidth, pageHeight = 297, 210
	margin                = 28
	textWidth             = pageWidth - 2*margin
)

// block is a text of the page, in the middle of its line.
type block struct {
	text   string
	y      float64 // of its top
	height float64 // that it may take
	size   float64 // in points, at most
	tint   int     // of gray: 0 is black
}

// smallest is the size to which a long text shrinks, in points; from there on it is cut.
const smallest = 5

// Render writes the certificate as a PDF. The same certificate gives the same bytes. It
// fails with ErrLetters.
func (p *Printer) Render(w io.Writer, c courses.Certificate) error {
	if err := p.check(c); err != nil {
		return err
	}
	pdf := p.page(c)
	for _, b := range p.blocks(c) {
		draw(pdf, b)
	}
	var out bytes.Buffer // so that nothing is written where it fails
	if err := pdf.Output(&out); err != nil {
		return core.ErrInternal.Because(err)
	}
	_, err := out.WriteTo(w)
	return err
}

// check refuses letters that would come out as boxes.
func (p *Printer) check(c courses.Certificate) error {
	var buffer sfnt.Buffer
	for _, field := range []struct{ name, text string }{
		{"name", c.Name}, {"course", c.Course}, {"teacher", c.Teacher}, {"Issuer", p.options.Issuer}, {"VerifyURL", p.options.VerifyURL},
	} {
		var missing []rune
		for _, r := range plain(field.text) {
			glyph, err := p.letters.GlyphIndex(&buffer, r)
			if err != nil || glyph == 0 || r > 0xFFFF { // the library writes no others
				missing = append(missing, r)
			}
		}
		if missing != nil {
			return ErrLetters.With(core.Violation{Field: field.name, Code: "letters", Got: string(missing), Message: "the font does not have them"})
		}
	}
	return nil
}

// plain returns a text as one line without what is not seen.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if core.IsBidiControl(r) || r == '\uFEFF' || r >= '\u200B' && r <= '\u200D' {
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7F || r == '\u00A0' }), " ")
}

const font = "certificate"

// page returns an empty page with its frame.
func (p *Printer) page(c courses.Certificate) *fpdf.Fpdf {
	pdf := fpdf.New("L", "mm", "A4", "")
	pdf.SetCatalogSort(true)
	pdf.SetCreationDate(c.IssuedAt.UTC())
	pdf.SetModificationDate(c.IssuedAt.UTC())
	pdf.SetProducer("Ustat", true)
	pdf.SetTitle(plain(p.say(c, "title")+": "+c.Course), true)
	pdf.SetAutoPageBreak(false, 0)
	pdf.SetMargins(margin, 0, margin)
	pdf.AddUTF8FontFromBytes(font, "", p.options.Font)
	pdf.AddPage()
	pdf.SetDrawColor(40, 70, 110)
	for _, line := range []struct{ inset, width float64 }{{10, 1.2}, {13, 0.3}} {
		pdf.SetLineWidth(line.width)
		pdf.Rect(line.inset, line.inset, pageWidth-2*line.inset, pageHeight-2*line.inset, "D")
	}
	return pdf
}

// say returns a text of a certificate in the language of its course: in that one itself or
// what it is a kind of, or else in the default language.
func (p *Printer) say(c courses.Certificate, key string, pairs ...string) string {
	return p.options.Messages.Text(c.Language, "certificate."+key, pairs...)
}

func (p *Printer) blocks(c courses.Certificate) []block {
	date := p.options.Messages.Date(c.Language, c.Completed.UTC())
	blocks := []block{
		{p.say(c, "title"), 26, 18, 40, 0},
		{p.say(c, "certifies"), 52, 8, 14, 80},
		{c.Name, 62, 28, 32, 0},
		{p.say(c, "completed"), 94, 8, 14, 80},
		{c.Course, 104, 32, 24, 0},
		{p.say(c, "date", "date", date), 142, 7, 13, 40},
	}
	if c.Teacher != "" {
		blocks = append(blocks, block{p.say(c, "teacher", "teacher", c.Teacher), 150, 8, 13, 40})
	}
	if p.options.Issuer != "" {
		blocks = append(blocks, block{p.say(c, "issuer", "issuer", p.options.Issuer), 159, 8, 13, 40})
	}
	blocks = append(blocks, block{p.say(c, "code", "code", courses.FormatCertificateCode(c.Code)), 172, 6, 11, 40})
	if p.options.VerifyURL != "" {
		blocks = append(blocks, block{p.options.VerifyURL + c.Code, 180, 6, 10, 80})
	}
	return blocks
}

// draw writes a block in its largest size in which it fits its place.
func draw(pdf *fpdf.Fpdf, b block) {
	text, size, height := plain(b.text), b.size, 0.0
	var lines []string
	for ; ; size-- {
		pdf.SetFont(font, "", size)
		height = pdf.PointConvert(size) * 1.25
		lines = pdf.SplitText(text, textWidth)
		if float64(len(lines))*height <= b.height || size <= smallest {
			break
		}
	}
	if most := max(1, int(b.height/height)); len(lines) > most {
		lines = lines[:most]
	}
	pdf.SetTextColor(b.tint, b.tint, b.tint)
	y := b.y + (b.height-float64(len(lines))*height)/2
	for _, line := range lines {
		pdf.SetXY(margin, y)
		pdf.CellFormat(textWidth, height, line, "", 0, "C", false, 0, "")
		y += height
	}
}

var _ courses.CertificateRenderer = (*Printer)(nil)
