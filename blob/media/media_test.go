package media_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/blob"
	"github.com/ustat/ustat/blob/media"
)

func zipped(t *testing.T, names ...string) string {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range names {
		f, err := w.Create(name)
		require.NoError(t, err)
		content := "x"
		if name == "mimetype" {
			content = "application/vnd.oasis.opendocument.text"
		}
		_, err = io.WriteString(f, content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.String()
}

const (
	mp4  = "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
	webm = "\x1A\x45\xDF\xA3\x93\x42\x82\x88webm\x42\x87\x81\x04\x42\x85\x81\x02"
)

func TestATypeIsSeenByTheContent(t *testing.T) {
	t.Parallel()
	picture := image.NewGray(image.Rect(0, 0, 3, 2))
	var pngFile, jpegFile, gifFile bytes.Buffer
	require.NoError(t, png.Encode(&pngFile, picture))
	require.NoError(t, jpeg.Encode(&jpegFile, picture, nil))
	require.NoError(t, gif.Encode(&gifFile, picture, nil))
	for want, contents := range map[blob.Type][]string{
		blob.PDF: {"%PDF-1.7\n"}, blob.PNG: {pngFile.String()}, blob.JPEG: {jpegFile.String()}, blob.MP4: {mp4}, blob.WebM: {webm},
		blob.ZIP:  {zipped(t, "a.txt")},
		blob.DOCX: {zipped(t, "[Content_Types].xml", "_rels/.rels", "word/document.xml")},
		blob.XLSX: {zipped(t, "[Content_Types].xml", "_rels/.rels", "xl/workbook.xml")},
		blob.Text: {"just text", "Привет"},
		blob.CSV:  {"a,b\n1,2\n3,4\n"},
		"": { // is refused
			"<!DOCTYPE html><script>alert(1)</script>", "<html><body>", "  <svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
			"<?xml version='1.0'?><a/>", gifFile.String(), "MZ\x90\x00\x03", "\x7fELF\x02\x01\x01", "#!/usr/bin/env python\n", "{\"a\": 1}", "\x00\x01\x02\x03", "%!PS-Adobe-3.0",
		},
	} {
		for _, content := range contents {
			got, err := media.Sniff(strings.NewReader(content))
			require.Equal(t, want, got, "%.40q", content)
			if want == "" {
				require.ErrorIs(t, err, media.ErrType)
			} else {
				require.NoError(t, err)
			}
		}
	}
	_, err := media.Sniff(io.MultiReader(strings.NewReader("%PDF"), broken{}))
	require.ErrorIs(t, err, io.ErrClosedPipe, "what cannot be read is no wrong type")
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func clean(t *testing.T, content string, typ blob.Type) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := media.NewImages().Clean(t.Context(), &out, strings.NewReader(content), typ)
	return out.String(), err
}

// chunk is one of a PNG.
func chunk(name, data string) string {
	var out bytes.Buffer
	_ = binary.Write(&out, binary.BigEndian, uint32(len(data)))
	out.WriteString(name + data)
	_ = binary.Write(&out, binary.BigEndian, crc32.ChecksumIEEE([]byte(name+data)))
	return out.String()
}

func TestAnImageMadeAnewHasItsPixelsAndNothingElse(t *testing.T) {
	t.Parallel()
	picture := image.NewNRGBA(image.Rect(0, 0, 20, 10))
	for i := range picture.Pix {
		picture.Pix[i] = byte(i * 7)
	}
	var pngFile, jpegFile bytes.Buffer
	require.NoError(t, png.Encode(&pngFile, picture))
	require.NoError(t, jpeg.Encode(&jpegFile, picture, nil))
	const payload = "<script>alert(document.domain)</script>PK\x03\x04 and more of it"
	p, j := pngFile.String(), jpegFile.String()
	segment := "\xFF\xFE\x00" + string(rune(len(payload)+2)) + payload // a comment
	for name, c := range map[string]struct {
		typ     blob.Type
		content string
	}{
		"PNG, text":     {blob.PNG, p[:33] + chunk("tEXt", "Comment\x00"+payload) + p[33:]},
		"PNG, appended": {blob.PNG, p + payload},
		"JPEG, comment": {blob.JPEG, j[:2] + segment + j[2:]},
		"JPEG, tail":    {blob.JPEG, j + payload},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := clean(t, c.content, c.typ)
			require.NoError(t, err)
			for i := 0; i+16 <= len(payload); i++ {
				require.NotContains(t, out, payload[i:i+16])
			}
			made, format, err := image.Decode(strings.NewReader(out))
			require.NoError(t, err)
			require.Equal(t, picture.Bounds(), made.Bounds())
			require.Equal(t, map[blob.Type]string{blob.PNG: "png", blob.JPEG: "jpeg"}[c.typ], format)
			if c.typ == blob.PNG {
				require.Equal(t, picture.Pix, made.(*image.NRGBA).Pix)
			}
		})
	}
}

// pngOf returns the head of a PNG of a size that is not there.
func pngOf(width, height uint32, depth byte) string {
	var head bytes.Buffer
	_ = binary.Write(&head, binary.BigEndian, []uint32{width, height})
	head.Write([]byte{depth, 6, 0, 0, 0})
	return "\x89PNG\r\n\x1a\n" + chunk("IHDR", head.String()) + chunk("IDAT", "x\x9c")
}

// jpegOf returns the head of a JPEG whose frame has a marker.
func jpegOf(width, height uint16, marker byte) string {
	var head bytes.Buffer
	head.WriteString("\xFF\xD8\xFF\xFE\x00\x04hi\xFF" + string([]byte{marker}) + "\x00\x11\x08")
	_ = binary.Write(&head, binary.BigEndian, []uint16{height, width})
	head.WriteString("\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00\xFF\xDA\x00\x0C")
	return head.String()
}

func TestAnImageOfTooManyPixelsIsRefusedByItsHeader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		typ     blob.Type
		content string
		want    error
	}{
		"PNG of 4 Gi pixels":          {blob.PNG, pngOf(65536, 65536, 8), media.ErrTooLarge},
		"PNG of one line":             {blob.PNG, pngOf(1<<31-1, 1, 8), media.ErrTooLarge},
		"PNG of the most":             {blob.PNG, pngOf(4096, 4096, 8), media.ErrBroken},
		"PNG of one more":             {blob.PNG, pngOf(4096, 4097, 8), media.ErrTooLarge},
		"deep PNG of the most":        {blob.PNG, pngOf(2048, 2048, 16), media.ErrBroken},
		"deep PNG of one more":        {blob.PNG, pngOf(2048, 2049, 16), media.ErrTooLarge},
		"JPEG of the most":            {blob.JPEG, jpegOf(4096, 4096, 0xC0), media.ErrBroken},
		"JPEG of one more":            {blob.JPEG, jpegOf(4096, 4097, 0xC0), media.ErrTooLarge},
		"progressive JPEG":            {blob.JPEG, jpegOf(2048, 2048, 0xC2), media.ErrBroken},
		"progressive JPEG, too large": {blob.JPEG, jpegOf(2048, 2049, 0xC2), media.ErrTooLarge},
		"no image":                    {blob.PNG, "hello", media.ErrBroken},
		"empty":                       {blob.JPEG, "", media.ErrBroken},
		"another type":                {blob.PDF, "%PDF", media.ErrType},
	} {
		_, err := clean(t, c.content, c.typ)
		require.ErrorIs(t, err, c.want, name)
	}
}

// TestTheMemoryOfAnImageIsBounded holds what a pixel costs: 6 bytes of each are 96 MiB of
// the most. It runs alone, since it measures the memory of the process.
func TestTheMemoryOfAnImageIsBounded(t *testing.T) {
	const side = 1024
	picture := image.NewNRGBA(image.Rect(0, 0, side, side))
	for i := range side {
		picture.Set(i, i, color.White)
	}
	var file bytes.Buffer
	fast := png.Encoder{CompressionLevel: png.BestSpeed}
	require.NoError(t, fast.Encode(&file, picture))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.NoError(t, media.NewImages().Clean(t.Context(), io.Discard, bytes.NewReader(file.Bytes()), blob.PNG))
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(6*side*side))
}

func FuzzClean(f *testing.F) {
	f.Add([]byte(pngOf(3, 3, 8)), true)
	f.Add([]byte(jpegOf(3, 3, 0xC2)), false)
	f.Fuzz(func(t *testing.T, content []byte, isPNG bool) {
		typ := blob.JPEG
		if isPNG {
			typ = blob.PNG
		}
		var out bytes.Buffer
		if media.NewImages().Clean(t.Context(), &out, bytes.NewReader(content), typ) != nil {
			return
		}
		if _, _, err := image.Decode(&out); err != nil {
			t.Fatal(err)
		}
	})
}
