// Package slugs makes the slugs of names that people write, such as tags.
package slugs

import (
	"strings"

	"github.com/gosimple/slug"
)

// MaxLen is the length of the longest slug in bytes, as core.IsSlug has it.
const MaxLen = 120

// Make returns the slug of text: its words in Latin letters without case, joined
// by hyphens, at most MaxLen bytes. "+" and "#" are spelled out, so that C, C++ and
// C# differ. It is empty when text has neither a letter nor a digit that can be
// written in Latin; anything else passes core.IsSlug.
func Make(text string) string {
	spelled := strings.NewReplacer("+", "-plus", "#", "-sharp", "_", "-").Replace(text)
	made := slug.Make(spelled)
	if len(made) <= MaxLen {
		return made
	}
	cut := made[:MaxLen]
	if i := strings.LastIndexByte(cut, '-'); i > 0 && made[MaxLen] != '-' {
		cut = cut[:i]
	}
	return strings.TrimRight(cut, "-")
}
