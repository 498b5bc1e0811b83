package courses

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// ObjectKind is what kind of thing is translated.
type ObjectKind string

// What is translated, and which texts each has.
const (
	CourseObject   ObjectKind = "course"   // title, description, requirements
	ModuleObject   ObjectKind = "module"   // title, description
	LessonObject   ObjectKind = "lesson"   // title, and its content as the description
	CategoryObject ObjectKind = "category" // its name as the title
	TagObject      ObjectKind = "tag"      // its name as the title
)

// ObjectKinds lists what is translated.
var ObjectKinds = [...]ObjectKind{CourseObject, ModuleObject, LessonObject, CategoryObject, TagObject}

// Object names something that is translated inside the storage.
type Object struct {
	Kind ObjectKind
	ID   int64
}

// Texts are what an object says in one language. Rich text is sanitized.
type Texts struct {
	Title, Description, Requirements string
}

// TextSources are the hashes of the texts that a translation was made of, each 16 hexadecimal
// digits; empty where the translation has no such text.
type TextSources struct {
	Title, Description, Requirements string
}

// SourcesOf returns what a translation of the source into these texts is made of.
func SourcesOf(source, translated Texts) TextSources {
	hash := func(from, to string) string {
		if to == "" {
			return ""
		}
		sum := sha256.Sum256([]byte(from))
		return hex.EncodeToString(sum[:8])
	}
	return TextSources{hash(source.Title, translated.Title), hash(source.Description, translated.Description), hash(source.Requirements, translated.Requirements)}
}

// Translation is what an object says in a language beside its own. There is at most one
// an object and language.
type Translation struct {
	Object     Object
	Language   string // a canonical tag of BCP 47
	Texts             // the title is never empty; what is empty is shown as its author wrote it
	TextPolicy int    // see Course
	Sources    TextSources
	Version    int64 // from 1, one more with each change; of a store's PutTranslations, whatever is handed in
	UpdatedAt  time.Time
}

// Translated is a translation without its texts.
type Translated struct {
	Object   Object
	Language string
	Sources  TextSources
}

// TranslationReader reads translations.
type TranslationReader interface {
	// Translations returns the translations of those of the objects that have one in one of
	// the languages, by object and language, by one statement. Nil languages are all. No
	// objects, and languages that are empty and not nil, give no statement.
	Translations(ctx context.Context, of []Object, languages []string) ([]Translation, error)
	// TranslatedOf returns what a course, its modules and its lessons are translated into,
	// in any order, by one statement.
	TranslatedOf(ctx context.Context, course CourseID) ([]Translated, error)
	// TextsOf calls visit with the texts of a course, its modules and its lessons as their
	// author wrote them, one at a time, by one statement. Visit must not use the store.
	TextsOf(ctx context.Context, course CourseID, visit func(o Object, t Texts)) error
}

// TranslationWriter writes translations.
type TranslationWriter interface {
	// PutTranslations adds translations, or writes them over those that their objects have
	// in their languages, and returns them as stored, in order, by one statement a kind and
	// block. An object that there is not, an empty title or language, and one that comes twice
	// are core.ErrInvalid, after which the Update fails. With the object they are deleted.
	PutTranslations(ctx context.Context, list []Translation) ([]Translation, error)
	// DeleteTranslation removes one, or fails with ErrTranslationNotFound.
	DeleteTranslation(ctx context.Context, of Object, language string) error
}
