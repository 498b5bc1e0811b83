package transfer

import "github.com/ustat/ustat/core"

// ownNames are tags by what languages call themselves, folded: catalogues that people
// keep have such a name in the place of a tag here and there.
var ownNames = folded(map[string]string{
	"العربية": "ar", "اللغة العربية": "ar", "Deutsch": "de", "English": "en", "Español": "es", "Français": "fr", "עברית": "he",
	"हिन्दी": "hi", "Bahasa Indonesia": "id", "Italiano": "it", "日本語": "ja", "Қазақша": "kk", "한국어": "ko", "Nederlands": "nl",
	"Polski": "pl", "Português": "pt", "Русский": "ru", "ไทย": "th", "Türkçe": "tr", "Українська": "uk", "Tiếng Việt": "vi", "中文": "zh",
})

func folded(names map[string]string) map[string]string {
	out := make(map[string]string, len(names))
	for name, tag := range names {
		out[core.Fold(name)] = tag
	}
	return out
}

// language returns the canonical form of a language tag, also by the language's own
// name, and "" for an empty cell.
func (c *cells) language(col, runes int) string {
	s := c.text(col, runes)
	if s == "" {
		return ""
	}
	if tag, ok := core.LanguageTag(s); ok {
		return tag
	}
	tag := ownNames[core.Fold(s)]
	if tag == "" {
		c.refuse(col, "%s is no language tag of BCP 47, such as ru or pt-BR", quote(s))
	}
	return tag
}
