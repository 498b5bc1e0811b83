package courses

import (
	"context"
	"slices"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses/richtext"
	"github.com/ustat/ustat/i18n"
	"github.com/ustat/ustat/internal/fault"
)

// MaxTranslations bounds the languages that one object is translated into.
const MaxTranslations = 50

// Target names what is translated: see OfCourse and its siblings.
type Target struct {
	kind ObjectKind
	slug string // of the course, category or tag
	id   int64  // of the module or lesson in the course
}

// OfCourse is a course.
func OfCourse(slug string) Target { return Target{kind: CourseObject, slug: slug} }

// OfModule is a module of a course.
func OfModule(course string, id ModuleID) Target { return Target{ModuleObject, course, int64(id)} }

// OfLesson is a lesson of a course.
func OfLesson(course string, id LessonID) Target { return Target{LessonObject, course, int64(id)} }

// OfCategory is a category.
func OfCategory(slug string) Target { return Target{kind: CategoryObject, slug: slug} }

// OfTag is a tag.
func OfTag(slug string) Target { return Target{kind: TagObject, slug: slug} }

// NewTranslation is what Translate takes. What is left out is shown as the author wrote
// it. A lesson's content is its description; it has no requirements, nor has a module;
// categories and tags have a title alone.
type NewTranslation struct {
	Title        string          `json:"title" validate:"required,max=200,line"`
	Description  string          `json:"description" validate:"text"`
	Requirements string          `json:"requirements" validate:"text"`
	Format       richtext.Format `json:"format" validate:"omitempty,oneof=html markdown"`
	// IfVersion makes the change fail with core.ErrVersion unless it is the stored one.
	// Zero asks nothing.
	IfVersion int64 `json:"-"`
}

// FieldState says how a text of a translation stands to what it was made of.
type FieldState string

// The states of a text. There is none where the author wrote nothing.
const (
	Fresh   FieldState = "fresh"
	Stale   FieldState = "stale"   // the author has changed the text since
	Missing FieldState = "missing" // it is not translated
)

// TranslationView is a translation and how fresh it is.
type TranslationView struct {
	Translation
	// States are those of "title", "description" and "requirements", as far as the author
	// wrote such a text.
	States map[string]FieldState
}

// field is a text that the author wrote, by its state.
type field struct {
	name  string
	state FieldState
}

// fieldsOf compares what a translation was made of with the present texts and their
// hashes.
func fieldsOf(source Texts, now, made TextSources) []field {
	var fields []field
	for _, f := range [...]struct{ name, text, now, made string }{
		{"title", source.Title, now.Title, made.Title},
		{"description", source.Description, now.Description, made.Description},
		{"requirements", source.Requirements, now.Requirements, made.Requirements},
	} {
		state := Fresh
		switch {
		case f.text == "":
			continue
		case f.made == "":
			state = Missing
		case f.made != f.now:
			state = Stale
		}
		fields = append(fields, field{f.name, state})
	}
	return fields
}

// states is fieldsOf by name.
func states(source Texts, made TextSources) map[string]FieldState {
	out := map[string]FieldState{}
	for _, f := range fieldsOf(source, SourcesOf(source, source), made) {
		out[f.name] = f.state
	}
	return out
}

// Translate says an object in a language: what it said in it before is replaced as a
// whole, and of calls at once the last one counts. Who may edit the course may translate
// it, its modules and its lessons, and admins categories and tags. It fails with
// core.ErrInvalid, for the language in which the course is written too, with ErrTooMany
// beyond MaxTranslations, core.ErrVersion, and as an edit of the object does.
func (s *Service) Translate(ctx context.Context, by core.Actor, of Target, language string, in NewTranslation) (TranslationView, error) {
	ctx = core.WithOperation(ctx, "courses.Translate")
	may, err := s.mayTranslate(ctx, by, of)
	if err != nil {
		return TranslationView{}, err
	}
	tag, texts, err := s.checkTranslation(of.kind, language, in)
	if err != nil {
		return TranslationView{}, err
	}
	var made TranslationView
	err = s.lockedTarget(ctx, by, may, of, func(ctx context.Context, tx Tx, x target, t trail) error {
		if x.language == tag && of.kind != CategoryObject && of.kind != TagObject {
			return core.Invalid("language", "base_language", "", language, "this is the language in which the course is written: edit the course")
		}
		there, err := tx.Translations(ctx, []Object{x.object}, nil)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(there, func(t Translation) bool { return t.Language == tag })
		if i < 0 && len(there) >= MaxTranslations {
			return tooMany("language", MaxTranslations, len(there))
		}
		var version int64
		if i >= 0 {
			version = there[i].Version
		}
		if err := same(in.IfVersion, version); err != nil {
			return err
		}
		put := Translation{Object: x.object, Language: tag, Texts: texts, TextPolicy: richtext.Version, Sources: SourcesOf(x.texts, texts), UpdatedAt: t.at}
		if i >= 0 && there[i].Texts == put.Texts && there[i].Sources == put.Sources { // as it is
			made = TranslationView{there[i], states(x.texts, put.Sources)}
			return nil
		}
		stored, err := tx.PutTranslations(ctx, []Translation{put})
		if err != nil {
			return err
		}
		if err := fault.Hit("courses.translate.after_put"); err != nil {
			return err
		}
		made = TranslationView{stored[0], states(x.texts, put.Sources)}
		return t.translated(ctx, tx, x, tag)
	})
	if err != nil {
		return TranslationView{}, err
	}
	return made, nil
}

// checkTranslation returns the canonical language and the texts made safe, or all that is
// wrong.
func (s *Service) checkTranslation(kind ObjectKind, language string, in NewTranslation) (string, Texts, error) {
	in.Title = line(in.Title)
	bad := s.check(in)
	tag, ok := core.LanguageTag(language)
	if !ok || len(tag) > i18n.MaxTag {
		bad.add("language", "bcp47_language_tag", "", language, "a language tag of BCP 47 is expected")
	}
	most := MaxDescription
	if kind == LessonObject {
		most = MaxContent
	}
	shelf := kind == CategoryObject || kind == TagObject
	if shelf && in.Description != "" {
		bad.add("description", "unexpected", "", "", "categories and tags have a title alone")
	}
	if kind != CourseObject && in.Requirements != "" {
		bad.add("requirements", "unexpected", "", "", "only courses have requirements")
	}
	description := bad.rich("description", &in.Description, in.Format, most)
	requirements := bad.rich("requirements", &in.Requirements, in.Format, MaxDescription)
	if err := bad.err(); err != nil {
		return "", Texts{}, err
	}
	return tag, Texts{in.Title, *description, *requirements}, nil
}

// DeleteTranslation removes what an object says in a language, or fails with
// ErrTranslationNotFound and as Translate does.
func (s *Service) DeleteTranslation(ctx context.Context, by core.Actor, of Target, language string, ifVersion int64) error {
	ctx = core.WithOperation(ctx, "courses.DeleteTranslation")
	may, err := s.mayTranslate(ctx, by, of)
	if err != nil {
		return err
	}
	tag, ok := core.LanguageTag(language)
	if !ok {
		return ErrTranslationNotFound
	}
	return s.lockedTarget(ctx, by, may, of, func(ctx context.Context, tx Tx, x target, t trail) error {
		if ifVersion != 0 {
			there, err := tx.Translations(ctx, []Object{x.object}, []string{tag})
			if err != nil {
				return err
			}
			if len(there) == 0 {
				return ErrTranslationNotFound
			}
			if err := same(ifVersion, there[0].Version); err != nil {
				return err
			}
		}
		if err := tx.DeleteTranslation(ctx, x.object, tag); err != nil {
			return err
		}
		return t.translated(ctx, tx, x, tag)
	})
}

// Translations returns what an object says in other languages, by language, and how fresh
// each is. Who sees a course reads the translations of it and of its modules, who may edit
// it those of its lessons, and everybody those of categories and tags. Two statements
// besides those of the object.
func (s *Service) Translations(ctx context.Context, by core.Actor, of Target) ([]TranslationView, error) {
	ctx = core.WithOperation(ctx, "courses.Translations")
	x, err := s.seenTarget(ctx, by, of)
	if err != nil {
		return nil, err
	}
	there, err := s.store.Translations(ctx, []Object{x.object}, nil)
	if err != nil {
		return nil, err
	}
	views := make([]TranslationView, len(there))
	for i, t := range there {
		t.refresh()
		views[i] = TranslationView{t, states(x.texts, t.Sources)}
	}
	return views, nil
}

// Translation is Translations of one language, or ErrTranslationNotFound.
func (s *Service) Translation(ctx context.Context, by core.Actor, of Target, language string) (TranslationView, error) {
	all, err := s.Translations(ctx, by, of)
	if err != nil {
		return TranslationView{}, err
	}
	tag, ok := core.LanguageTag(language)
	i := slices.IndexFunc(all, func(t TranslationView) bool { return t.Language == tag })
	if !ok || i < 0 {
		return TranslationView{}, ErrTranslationNotFound
	}
	return all[i], nil
}

func (t *Translation) refresh() {
	if t.TextPolicy != richtext.Version {
		t.Description, t.Requirements, t.TextPolicy = sanitized(t.Description), sanitized(t.Requirements), richtext.Version
	}
}
