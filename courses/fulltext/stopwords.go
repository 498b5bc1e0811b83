package fulltext

import "strings"

// stopWords are the words that nearly every text has, folded.
var stopWords = func() map[string]bool {
	words := map[string]bool{}
	for _, w := range strings.Fields(stopWordList) {
		words[w] = true
	}
	return words
}()

const stopWordList = `
a an and are as at be but by can do for from has have he her his how i if in into is it its me my no not of on or our she so
that the their them then there these they this to up was we were what when where which who why will with you your

а без бы был была были было быть в вам вас ваш во вот все всех вы где да даже для до его ее ей ему если есть еще ж же за
здесь и из или им их к как ко когда кто ли либо мне мой мы на над нам нас наш не нет ни них но ну о об она они оно он от
по под при с со так также там те тем то того тоже той только том ты у уже чего чем что чтобы эта эти это этот я
`
