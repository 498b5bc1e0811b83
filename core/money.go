package core

import (
	"math"
	"strconv"
	"strings"
)

// Money is an amount in minor units (kopecks, cents) of one ISO 4217 currency.
// The zero Money is nothing in no currency. No float ever holds money. In an input
// struct the Validator holds it to 0 to 10^12 of a currency of ISO 4217.
type Money struct {
	Minor    int64  `json:"amount_minor" validate:"min=0,max=1000000000000"`
	Currency string `json:"currency" validate:"required,iso4217"` // three capital letters
}

// ErrMoney is the error of sums that overflow or mix currencies.
var ErrMoney = &Error{Kind: KindInvalid, Code: "core.money", Message: "the sum of money cannot be made"}

// minorDigits holds the currencies whose minor unit is not a hundredth (ISO 4217,
// list one).
var minorDigits = map[string]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0,
	"UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
	"CLF": 4, "UYW": 4,
}

// MinorDigits returns how many decimal digits the currency has: 2 for most, 0
// for JPY, 3 for KWD.
func MinorDigits(currency string) int {
	if d, ok := minorDigits[currency]; ok {
		return d
	}
	return 2
}

// Add returns m + n. It fails with ErrMoney when the currencies differ or the sum
// overflows.
func (m Money) Add(n Money) (Money, error) {
	if m.Currency != n.Currency {
		return Money{}, ErrMoney.Withf("%s and %s cannot be added", m.Currency, n.Currency)
	}
	sum := m.Minor + n.Minor
	if (n.Minor > 0 && sum < m.Minor) || (n.Minor < 0 && sum > m.Minor) {
		return Money{}, ErrMoney.Withf("%d and %d overflow", m.Minor, n.Minor)
	}
	return Money{sum, m.Currency}, nil
}

// String returns the decimal form and the currency: "1999.00 RUB".
func (m Money) String() string { return strings.TrimSpace(m.Decimal() + " " + m.Currency) }

// Decimal returns the amount alone, with the currency's digits: "1999.00".
func (m Money) Decimal() string {
	digits := MinorDigits(m.Currency)
	s := strconv.FormatInt(m.Minor, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	if digits == 0 {
		return sign + s
	}
	if len(s) <= digits {
		s = strings.Repeat("0", digits+1-len(s)) + s
	}
	return sign + s[:len(s)-digits] + "." + s[len(s)-digits:]
}

// ParseMoney reads a decimal amount ("1999", "1999.9", "1999.90") of a currency
// exactly. It fails with ErrMoney when the text is no plain decimal, has more
// digits than the currency's minor unit (zeros beyond it are taken) or overflows.
// Whether the currency exists is not checked here; see the validator's iso4217.
func ParseMoney(amount, currency string) (Money, error) {
	bad := func(why string) (Money, error) {
		return Money{}, ErrMoney.Withf("%q is no amount of %s: %s", cut(amount), currency, why)
	}
	text, neg := strings.CutPrefix(amount, "-")
	whole, fraction, point := strings.Cut(text, ".")
	if whole == "" || (point && fraction == "") {
		return bad("a decimal number is expected")
	}
	digits := MinorDigits(currency)
	if len(fraction) > digits {
		if strings.Trim(fraction[digits:], "0") != "" {
			return bad("at most " + strconv.Itoa(digits) + " digits after the point")
		}
		fraction = fraction[:digits]
	}
	var minor int64
	for _, c := range whole + fraction + strings.Repeat("0", digits-len(fraction)) {
		if c < '0' || c > '9' {
			return bad("a decimal number is expected")
		}
		if minor > (math.MaxInt64-int64(c-'0'))/10 {
			return bad("it is too large")
		}
		minor = minor*10 + int64(c-'0')
	}
	if neg {
		minor = -minor
	}
	return Money{minor, currency}, nil
}
