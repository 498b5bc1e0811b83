package core

import (
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold returns the form by which names are compared without case: NFKC and
// Unicode case folding. Stores keep it beside the original for unique usernames
// and e-mail addresses, since databases disagree on case outside ASCII.
func Fold(s string) string { return cases.Fold().String(norm.NFKC.String(s)) }
