// Package fulltext turns text into search terms. One tokenizer and stemmer feeds
// every engine, so that all find the same set whatever the database's locale:
// «курсы», «курсов» and «курс» meet, ё is е, and c++, c# and .net stay whole.
//
// Russian words are stemmed by Snowball's Russian rules, Latin ones by its English
// rules; each Han, Hiragana and Katakana character is a term of its own; other
// scripts are kept as they are, without case and accents.
package fulltext

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/russian"
	"golang.org/x/text/unicode/norm"
)

// MaxTermBytes bounds a term; the rest of a longer word is cut off.
const MaxTermBytes = 64

// Terms returns the stems of text in order, repeats included.
func Terms(text string) []string {
	terms := make([]string, 0, len(text)/6)
	each(text, func(term string, _, _ int) { terms = append(terms, term) })
	return terms
}

// Query returns the distinct terms of what a person typed. Words that nearly every
// text has ("the", "и") are left out unless the query has nothing else.
func Query(text string) []string {
	var terms, stops []string
	seen := map[string]bool{}
	each(text, func(term string, start, end int) {
		if seen[term] {
			return
		}
		seen[term] = true
		word := fold(text[start:end])
		if stopWords[word] {
			stops = append(stops, term)
			return
		}
		terms = append(terms, term)
	})
	if len(terms) == 0 {
		return stops
	}
	return terms
}

// Snippet returns about size bytes of text around the first of the terms, cut at
// words, with an ellipsis where it was cut.
func Snippet(text string, terms []string, size int) string {
	wanted := map[string]bool{}
	for _, t := range terms {
		wanted[t] = true
	}
	at := 0
	found := false
	each(text, func(term string, start, _ int) {
		if !found && wanted[term] {
			at, found = start, true
		}
	})
	from := wordStart(text, at-size/3)
	to := len(text)
	if to-from > size {
		to = wordStart(text, from+size)
	}
	if to <= from {
		to = len(text)
	}
	out := strings.Join(strings.Fields(text[from:to]), " ")
	if from > 0 {
		out = "… " + out
	}
	if to < len(text) {
		out += " …"
	}
	return out
}

// wordStart returns the first start of a word at or before i, at most 40 bytes
// back, and always the start of a rune.
func wordStart(text string, i int) int {
	if i <= 0 {
		return 0
	}
	if i >= len(text) {
		return len(text)
	}
	for !utf8.RuneStart(text[i]) {
		i--
	}
	if space := strings.LastIndexAny(text[max(0, i-40):i], " \n\t"); space >= 0 {
		return max(0, i-40) + space + 1
	}
	return i
}

// each calls f with every term of text and the bytes it came from.
func each(text string, f func(term string, start, end int)) {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana):
			f(string(r), i, i+size)
			i += size
		case inWord(r) || (r == '.' && startsDotName(text, i)):
			end := wordEnd(text, i+size)
			if term := stem(text[i:end]); term != "" {
				f(term, i, end)
			}
			i = end
		default:
			i += size
		}
	}
}

func inWord(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) || unicode.Is(unicode.So, r))
}

// startsDotName reports whether the point at i begins a name like .net: after a
// space, before a letter.
func startsDotName(text string, i int) bool {
	if i > 0 {
		if before, _ := utf8.DecodeLastRuneInString(text[:i]); inWord(before) || before == '.' {
			return false
		}
	}
	after, _ := utf8.DecodeRuneInString(text[i+1:])
	return unicode.IsLetter(after)
}

// wordEnd returns where the word that has begun before i ends. Trailing + and #
// belong to it (c++, c#, f#), as does a point before "net" or "js" (asp.net is two
// words: asp and .net, as people write either).
func wordEnd(text string, i int) int {
	for i < len(text) {
		r, size := utf8.DecodeRuneInString(text[i:])
		if !inWord(r) || unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) {
			break
		}
		i += size
	}
	end := i
	for end < len(text) && end-i < 2 && (text[end] == '+' || text[end] == '#') {
		end++
	}
	if end > i {
		// a+b is a sum, c++ is a name: only what no word follows is kept.
		if next, _ := utf8.DecodeRuneInString(text[end:]); end < len(text) && inWord(next) {
			return i
		}
	}
	return end
}

var buffers = sync.Pool{New: func() any { b := make([]rune, 0, 64); return &b }}

// fold returns word in lower case, without accents; й stays, ё becomes е.
func fold(word string) string {
	ascii := true
	for i := 0; i < len(word); i++ {
		if word[i] >= utf8.RuneSelf || (word[i] >= 'A' && word[i] <= 'Z') {
			ascii = false
			break
		}
	}
	if ascii {
		return word
	}
	if folded, ok := foldCyrillic(word); ok {
		return folded
	}
	buffer := buffers.Get().(*[]rune)
	out := (*buffer)[:0]
	for _, r := range norm.NFKD.String(strings.ToLower(word)) {
		if unicode.Is(unicode.Mn, r) {
			if n := len(out); r == 0x306 && n > 0 && out[n-1] == 'и' {
				out[n-1] = 'й'
			}
			continue
		}
		if inWord(r) || strings.ContainsRune("+#.", r) {
			out = append(out, unicode.ToLower(r))
		}
	}
	s := string(out)
	*buffer = out
	buffers.Put(buffer)
	return s
}

// foldCyrillic is fold for the words that need no decomposition: ASCII and the
// Russian alphabet. It is here because it halves the cost of an import.
func foldCyrillic(word string) (string, bool) {
	var b strings.Builder
	b.Grow(len(word))
	for _, r := range word {
		switch {
		case r >= 'a' && r <= 'z', r >= 'а' && r <= 'я', r < utf8.RuneSelf && (r < 'A' || r > 'Z'):
		case r >= 'A' && r <= 'Z':
			r += 'a' - 'A'
		case r >= 'А' && r <= 'Я':
			r += 'а' - 'А'
		case r == 'ё' || r == 'Ё':
			r = 'е'
		default:
			return "", false
		}
		b.WriteRune(r)
	}
	return b.String(), true
}

func stem(word string) string {
	word = fold(word)
	if len(word) > MaxTermBytes {
		word = strings.ToValidUTF8(word[:MaxTermBytes], "")
	}
	first, last := byte(0), byte(0)
	if word != "" {
		first, last = word[0], word[len(word)-1]
	}
	if first == '.' || last == '+' || last == '#' {
		return word
	}
	r, _ := utf8.DecodeRuneInString(word)
	switch {
	case r >= 'а' && r <= 'я':
		env := snowballstem.NewEnv(word)
		russian.Stem(env)
		return env.Current()
	case r >= 'a' && r <= 'z':
		env := snowballstem.NewEnv(word)
		english.Stem(env)
		return env.Current()
	}
	return word
}
