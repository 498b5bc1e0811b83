package courses

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestACodeIsReadHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		code := newCertificateCode()
		require.Len(t, code, codeSize)
		require.False(t, seen[code])
		seen[code] = true
		shown := FormatCertificateCode(code)
		require.Regexp(t, `^([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}$`, shown)
		for _, text := range []string{
			code, shown, strings.ToLower(shown), strings.ReplaceAll(shown, "-", " "), strings.ReplaceAll(shown, "0", "O"),
			strings.ReplaceAll(shown, "0", "o"), strings.ReplaceAll(shown, "1", "I"), strings.ReplaceAll(shown, "1", "l"), strings.ReplaceAll(shown, "1", "i"),
		} {
			read, err := ParseCertificateCode(text)
			require.NoError(t, err, text)
			require.Equal(t, code, read)
		}
	}
	for _, text := range []string{"", "0", strings.Repeat("0", 19), strings.Repeat("0", 21), strings.Repeat("U", 20), strings.Repeat("0", 19) + "Ё", strings.Repeat("0", 19) + "\x00"} {
		_, err := ParseCertificateCode(text)
		require.ErrorIs(t, err, ErrCertificateNotFound, text)
	}
}

func TestACodeHasAHundredRandomBits(t *testing.T) {
	t.Parallel()
	var counts [codeSize]map[byte]int
	for range 3200 {
		code := newCertificateCode()
		for i := range codeSize {
			if counts[i] == nil {
				counts[i] = map[byte]int{}
			}
			counts[i][code[i]]++
		}
	}
	for i, count := range counts { // each letter about 100 times at each place
		require.Len(t, count, 32, "place %d", i)
		for letter, n := range count {
			require.InDelta(t, 100, n, 75, "%c at place %d", letter, i)
		}
	}
}
