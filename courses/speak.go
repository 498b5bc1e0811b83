package courses

import (
	"context"
	"slices"

	"github.com/ustat/ustat/i18n"
)

// tongue is in which languages a reader is answered, the dearest first: their wishes, each
// with what it is a kind of, and the platform's default. It is empty for who has no
// wishes, and is answered in the authors' languages.
type tongue []string

func (s *Service) tongue(ctx context.Context) tongue {
	wishes := i18n.From(ctx).Wishes
	if len(wishes) == 0 {
		return nil
	}
	var t tongue
	for _, wish := range append(slices.Clone(wishes), s.language) {
		for _, tag := range i18n.Parents(wish) {
			if !slices.Contains(t, tag) {
				t = append(t, tag)
			}
		}
	}
	return t
}

// choose returns the translation that a reader gets of what is written in a base language,
// and false where that is the base itself.
func (t tongue) choose(base string, there []Translation) (Translation, bool) {
	kinds := i18n.Parents(base)
	for _, tag := range t {
		if i := slices.IndexFunc(there, func(x Translation) bool { return x.Language == tag }); i >= 0 {
			there[i].refresh()
			return there[i], true
		}
		if slices.Contains(kinds, tag) {
			break
		}
	}
	return Translation{}, false
}

// speaker collects what is to be shown, and says it in the reader's languages by one
// statement.
type speaker struct {
	tongue  tongue
	objects []Object
	say     []func(there map[Object][]Translation)
}

func (s *Service) speaker(ctx context.Context) *speaker { return &speaker{tongue: s.tongue(ctx)} }

// add notes an object that is written in base; show is told what the reader gets of it, if
// that is a translation.
func (p *speaker) add(o Object, base string, show func(t Translation)) {
	if p.tongue == nil || o.ID == 0 {
		return
	}
	p.objects = append(p.objects, o)
	p.say = append(p.say, func(there map[Object][]Translation) {
		if t, ok := p.tongue.choose(base, there[o]); ok {
			show(t)
		}
	})
}

// speak says all that was added: one statement, and none for a reader without wishes.
func (s *Service) speak(ctx context.Context, p *speaker) error {
	if len(p.objects) == 0 {
		return nil
	}
	found, err := s.store.Translations(ctx, p.objects, p.tongue)
	if err != nil {
		return err
	}
	there := make(map[Object][]Translation, len(found))
	for _, t := range found {
		there[t.Object] = append(there[t.Object], t)
	}
	for _, say := range p.say {
		say(there)
	}
	return nil
}

// over writes a text over another unless it is empty.
func over(to *string, text string) {
	if text != "" {
		*to = text
	}
}

// speakCourses says courses, and what they are filed under, in the reader's languages.
func (s *Service) speakCourses(ctx context.Context, list []Course) error {
	p := s.speaker(ctx)
	for i := range list {
		c := &list[i]
		c.BaseLanguage = c.Language
		c.Tags = slices.Clone(c.Tags) // which a store may share
		p.add(Object{CourseObject, int64(c.ID)}, c.Language, func(t Translation) {
			c.Language, c.Title = t.Language, t.Title
			over(&c.Description, t.Description)
			over(&c.Requirements, t.Requirements)
		})
		s.addCategory(p, &c.Category)
		for j := range c.Tags {
			s.addTag(p, &c.Tags[j])
		}
	}
	return s.speak(ctx, p)
}

func (s *Service) addCategory(p *speaker, c *Category) {
	p.add(Object{CategoryObject, int64(c.ID)}, s.language, func(t Translation) { c.Name, c.Language = t.Title, t.Language })
}

func (s *Service) addTag(p *speaker, t *Tag) {
	p.add(Object{TagObject, int64(t.ID)}, s.language, func(x Translation) { t.Name, t.Language = x.Title, x.Language })
}

func (s *Service) speakModules(ctx context.Context, base string, list []Module) error {
	p := s.speaker(ctx)
	for i := range list {
		m := &list[i]
		m.Language = base
		p.add(Object{ModuleObject, int64(m.ID)}, base, func(t Translation) {
			m.Language, m.Title = t.Language, t.Title
			over(&m.Description, t.Description)
		})
	}
	return s.speak(ctx, p)
}

// speakLessons leaves the content of those that are locked as it is: away.
func (s *Service) speakLessons(ctx context.Context, base string, list []Lesson) error {
	p := s.speaker(ctx)
	for i := range list {
		l := &list[i]
		l.Language = base
		p.add(Object{LessonObject, int64(l.ID)}, base, func(t Translation) {
			if l.Language, l.Title = t.Language, t.Title; !l.Locked {
				over(&l.Content, t.Description)
			}
		})
	}
	return s.speak(ctx, p)
}
