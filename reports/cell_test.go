package reports_test

import (
	"bytes"
	"encoding/csv"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/reports"
)

func TestTextThatASpreadsheetWouldRunIsNeutralized(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"":                       "",
		"Go for beginners":       "Go for beginners",
		"1 + 1 = 2, a@b":         "1 + 1 = 2, a@b",
		"=1+1":                   "'=1+1",
		"+1":                     "'+1",
		"-1":                     "'-1",
		"@SUM(A1)":               "'@SUM(A1)",
		"＝cmd":                   "'＝cmd",
		"＠x":                     "'＠x",
		"\t=1":                   "'\t'=1",
		"\r":                     "'\r",
		"\nx":                    "'\nx",
		"  =1":                   "'  =1",
		"\u00a0\ufeff=1":         "'\u00a0\ufeff=1",
		"'quoted'":               "''quoted'",
		"a;=1":                   "a;'=1",
		"a; -b":                  "a;' -b",
		"a\r\n=1":                "a\r'\n'=1",
		"a;b":                    "a;b",
		"a;'b":                   "a;''b",
		`=HYPERLINK("http://x")`: `'=HYPERLINK("http://x")`,
		"\xff=":                  "\uFFFD=",
	} {
		require.Equal(t, want, reports.Text(given).String(), "%q", given)
		require.Equal(t, strings.ToValidUTF8(given, "\uFFFD"), reports.Original(want), "%q", given)
	}
}

func TestNumbersStayNumbers(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 28, 23, 59, 58, 123456000, time.FixedZone("", 3600))
	for want, cell := range map[string]reports.Cell{
		"-7":                   reports.Int(-7),
		"-9223372036854775808": reports.Int(math.MinInt64),
		"4.67":                 reports.Decimal(4.66667),
		"-0.01":                reports.Money(core.Money{Minor: -1, Currency: "USD"}),
		"1999.00":              reports.Money(core.Money{Minor: 199900, Currency: "RUB"}),
		"500":                  reports.Money(core.Money{Minor: 500, Currency: "JPY"}),
		"2026-02-28T22:59:58Z": reports.Time(at),
		"":                     reports.Time(time.Time{}),
	} {
		require.Equal(t, want, cell.String())
	}
}

// FuzzText holds what the neutral form promises, as a spreadsheet sees it: whether it
// takes the file's commas or, as where the decimal point is a comma, semicolons for
// the ends of cells, no cell begins with what it would run; and the text can be had
// again.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "=1", "a;=1", "x\t\r\n;;' =1", "\"\n=cmd|' /C calc'!A0", "“;\u00a0＝1”", "a\";=1", "''=", "\xff;=", ";\v\u200b@"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		var out bytes.Buffer
		w, err := reports.CSV.New(&out)
		require.NoError(t, err)
		require.NoError(t, w.Row(reports.Text("head"), reports.Text(one), reports.Text(two)))
		require.NoError(t, w.Row(reports.Text("slug"), reports.Text(two), reports.Text(one)))
		require.NoError(t, w.Close())

		r := csv.NewReader(bytes.NewReader(out.Bytes()))
		rows, err := r.ReadAll()
		require.NoError(t, err)
		// The reader of CSV makes \n of the \r\n inside a cell.
		same := func(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n") }
		for i, want := range [][]string{{"head", one, two}, {"slug", two, one}} {
			require.Len(t, rows[i], 3)
			for j, cell := range rows[i] {
				harmless(t, cell)
				if !strings.Contains(want[j], "\r") {
					require.Equal(t, same(want[j]), reports.Original(cell))
				}
			}
		}
		require.Equal(t, strings.ToValidUTF8(one, "\uFFFD"), reports.Original(reports.Text(one).String()))
		for _, cell := range strings.FieldsFunc(out.String(), func(r rune) bool { return strings.ContainsRune(";\t\r\n", r) }) {
			harmless(t, cell)
		}
	})
}

// harmless fails for a cell that a spreadsheet would run.
func harmless(t *testing.T, cell string) {
	t.Helper()
	begin := strings.TrimLeft(cell, " \v\f\u00a0\u200b\ufeff")
	if begin != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(begin)[0]) {
		t.Fatalf("a spreadsheet would run %q", cell)
	}
	if strings.HasPrefix(cell, "\t") || strings.HasPrefix(cell, "\r") || strings.HasPrefix(cell, "\n") {
		t.Fatalf("a cell begins with a blank that is cut off: %q", cell)
	}
}
