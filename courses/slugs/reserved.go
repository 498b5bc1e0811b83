package slugs

import (
	"strconv"
	"strings"
)

// reserved are the words that no course may have as its slug: what stands in their
// place in the paths of the API.
var reserved = [...]string{"categories", "tags", "top", "trending", "search", "import", "new"}

// IsReserved reports whether no course may have the slug.
func IsReserved(slug string) bool {
	for _, word := range reserved {
		if slug == word {
			return true
		}
	}
	return false
}

// Numbered returns slug with "-n" after it, cut so that it stays within MaxLen.
func Numbered(slug string, n int) string {
	suffix := "-" + strconv.Itoa(n)
	if len(slug)+len(suffix) > MaxLen {
		slug = strings.TrimRight(slug[:MaxLen-len(suffix)], "-")
	}
	return slug + suffix
}
