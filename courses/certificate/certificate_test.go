package certificate_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/certificate"
)

func sample() courses.Certificate {
	return courses.Certificate{
		Code: "0123456789ABCDEFGHJK", Name: "Ёлкина Дарья", Course: "Базы данных", Teacher: "Әсел Қасымова", Language: "ru-RU",
		Completed: time.Date(2026, 5, 9, 23, 0, 0, 0, time.UTC), IssuedAt: time.Date(2026, 5, 10, 8, 0, 0, 0, time.UTC),
	}
}

func render(t *testing.T, o certificate.Options, c courses.Certificate) []byte {
	t.Helper()
	p, err := certificate.New(o)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, p.Render(&out, c))
	return out.Bytes()
}

var blanks = regexp.MustCompile(`\s+`)

// textOf returns the text that a reader of the document gets: by pdftotext where there
// is one, and else by textByHand.
func textOf(t *testing.T, pdf []byte) string {
	t.Helper()
	if path, err := exec.LookPath("pdftotext"); err == nil {
		cmd := exec.Command(path, "-layout", "-enc", "UTF-8", "-", "-")
		cmd.Stdin = bytes.NewReader(pdf)
		text, err := cmd.Output()
		require.NoError(t, err)
		return strings.TrimSpace(blanks.ReplaceAllString(string(text), " "))
	}
	t.Log("there is no pdftotext: the text is read by hand")
	return textByHand(t, pdf)
}

var (
	streams = regexp.MustCompile(`(?s)stream\r?\n(.*?)\r?\nendstream`)
	shows   = regexp.MustCompile(`(?s)\(((?:\\.|[^\\)])*)\)\s*Tj`)
	escapes = regexp.MustCompile(`(?s)\\(.)`)
)

// textByHand returns the texts that the document shows, in their order. A code of its
// font is the letter's in UTF-16, as its ToUnicode says, and each has a glyph.
func textByHand(t *testing.T, pdf []byte) string {
	t.Helper()
	require.Contains(t, string(pdf), "/ToUnicode")
	require.Contains(t, string(pdf), "<0000> <FFFF> <0000>", "codes are letters")
	var texts []string
	var glyphs []byte
	for _, s := range streams.FindAllSubmatch(pdf, -1) {
		z, err := zlib.NewReader(bytes.NewReader(s[1]))
		if err != nil {
			continue
		}
		content, err := io.ReadAll(z)
		require.NoError(t, err)
		if len(content) == 2*65536 {
			glyphs = content // the map from codes to glyphs
		}
		for _, show := range shows.FindAllSubmatch(content, -1) {
			raw := escapes.ReplaceAllFunc(show[1], func(e []byte) []byte {
				if e[1] == 'r' {
					return []byte{'\r'}
				}
				return e[1:]
			})
			units := make([]uint16, len(raw)/2)
			for i := range units {
				units[i] = binary.BigEndian.Uint16(raw[2*i:])
			}
			texts = append(texts, string(utf16.Decode(units)))
		}
	}
	require.NotEmpty(t, glyphs)
	text := strings.Join(texts, " ")
	for _, r := range text {
		require.NotZero(t, binary.BigEndian.Uint16(glyphs[2*r:]), "%q has no glyph", r)
	}
	return text
}

func TestTheLettersOfNamesComeBack(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Ёлкина Дарья", "Әсел Қасымова", "Ғабит Ңұрлан Өмір Үміт Һәким Ілияс", "Zoë Łukasiewicz", "Δημήτρης", "O’Brien (Jr.) \\ & Sons"} {
		c := sample()
		c.Name = name
		pdf := render(t, certificate.Options{}, c)
		require.Contains(t, textOf(t, pdf), name)
		require.Contains(t, textByHand(t, pdf), name)
		require.Less(t, len(pdf), 64<<10, "only the letters that are shown are in the document")
	}
}

func TestACertificateSpeaksTheLanguageOfItsCourse(t *testing.T) {
	t.Parallel()
	o := certificate.Options{Issuer: "Школа «Ёж»", VerifyURL: "https://school.example/c/"}
	c := sample()
	require.Equal(t, "Сертификат Настоящим удостоверяется, что слушатель Ёлкина Дарья успешно завершил курс Базы данных "+
		"Дата завершения: 9 мая 2026 г. Преподаватель: Әсел Қасымова Выдан: Школа «Ёж» Код: 01234-56789-ABCDE-FGHJK "+
		"https://school.example/c/0123456789ABCDEFGHJK", textOf(t, render(t, o, c)))
	for _, language := range []string{"en-GB", "de", "", "rus-x", "!"} {
		c.Language = language
		text := textOf(t, render(t, certificate.Options{}, c))
		require.Contains(t, text, "Certificate This certifies that Ёлкина Дарья has completed the course", language)
		require.Contains(t, text, "Completed: 9 May 2026")
	}
}

func TestTheSameCertificateGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	p, err := certificate.New(certificate.Options{})
	require.NoError(t, err)
	want := render(t, certificate.Options{}, sample())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var out bytes.Buffer
			if err := p.Render(&out, sample()); err != nil || !bytes.Equal(want, out.Bytes()) {
				t.Errorf("another document: %v", err)
			}
		})
	}
	wg.Wait()
}

func TestLongTextsShrinkAndWrap(t *testing.T) {
	t.Parallel()
	c := sample()
	c.Name = strings.TrimSpace(strings.Repeat("Длинноимённая ", 14))
	c.Course = strings.Repeat("Щ", 200) // with no place to break it
	c.Teacher = strings.Repeat("Жж", 100)
	text := textOf(t, render(t, certificate.Options{Issuer: strings.Repeat("Ш", 200)}, c))
	require.Contains(t, text, c.Name)
	bare := strings.ReplaceAll(text, " ", "")
	require.Contains(t, bare, c.Course)
	require.Contains(t, bare, c.Teacher)
	require.Contains(t, bare, "01234-56789-ABCDE-FGHJK")
}

func TestWhatIsNotSeenIsNotPrinted(t *testing.T) {
	t.Parallel()
	c := sample()
	c.Name = "Дарья\u00A0\n\tЁл\u200Bкина\u202E\x00"
	require.Contains(t, textOf(t, render(t, certificate.Options{}, c)), "Дарья Ёлкина успешно")
}

func TestLettersThatTheFontDoesNotHaveAreRefused(t *testing.T) {
	t.Parallel()
	p, err := certificate.New(certificate.Options{})
	require.NoError(t, err)
	for _, name := range []string{"田中", "Дарья 😀", "𐍈"} {
		c := sample()
		c.Name = name
		var out bytes.Buffer
		err := p.Render(&out, c)
		require.ErrorIs(t, err, certificate.ErrLetters)
		require.ErrorIs(t, err, core.ErrFailedPrecondition)
		require.Zero(t, out.Len())
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for field, o := range map[string]certificate.Options{
		"Issuer": {Issuer: "two\nlines"}, "VerifyURL": {VerifyURL: strings.Repeat("a", 201)}, "Font": {Font: []byte("no font")},
	} {
		_, err := certificate.New(o)
		require.ErrorIs(t, err, core.ErrInvalid)
		require.ErrorContains(t, err, field)
	}
}
