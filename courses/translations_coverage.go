package courses

import (
	"cmp"
	"context"
	"slices"

	"github.com/ustat/ustat/core"
)

// MaxBehind bounds the texts that a Coverage names.
const MaxBehind = 1000

// Coverage is how far a course, with its modules and lessons, is translated into a
// language. Texts that its author left empty do not count.
type Coverage struct {
	Language              string
	Fresh, Stale, Missing int
	// Behind are the texts that are stale or missing, at most MaxBehind: of the course, then
	// of its modules, then of its lessons, by id.
	Behind []Behind
}

// Behind is a text that is not, or no longer, translated.
type Behind struct {
	Object Object
	Field  string // "title", "description" or "requirements"
	State  FieldState
}

// Percent returns how many of a hundred texts are fresh, rounded down: 100 only where all
// are.
func (c *Coverage) Percent() int {
	all := c.Fresh + c.Stale + c.Missing
	if all == 0 {
		return 100
	}
	return c.Fresh * 100 / all
}

// Coverage returns how far a course is translated into each language that anything of it
// is translated into, by language, to who may edit it. Two statements besides those of
// the course; the texts of its lessons are read one after the other.
func (s *Service) Coverage(ctx context.Context, by core.Actor, course string) ([]Coverage, error) {
	ctx = core.WithOperation(ctx, "courses.Coverage")
	c, may, err := s.visibleCourse(ctx, by, course)
	if err != nil {
		return nil, err
	}
	if err := may.may(by, &c, toEdit); err != nil {
		return nil, err
	}
	return coverage(ctx, s.store, c.ID)
}

func coverage(ctx context.Context, r TranslationReader, course CourseID) ([]Coverage, error) {
	translated, err := r.TranslatedOf(ctx, course)
	if err != nil {
		return nil, err
	}
	var out []Coverage
	made := map[Object]map[string]TextSources{}
	for _, t := range translated {
		if made[t.Object] == nil {
			made[t.Object] = map[string]TextSources{}
		}
		made[t.Object][t.Language] = t.Sources
		if !slices.ContainsFunc(out, func(c Coverage) bool { return c.Language == t.Language }) {
			out = append(out, Coverage{Language: t.Language})
		}
	}
	slices.SortFunc(out, func(a, b Coverage) int { return cmp.Compare(a.Language, b.Language) })
	if len(out) == 0 {
		return nil, nil
	}
	err = r.TextsOf(ctx, course, func(o Object, source Texts) {
		now := SourcesOf(source, source)
		for i := range out {
			out[i].count(o, source, now, made[o][out[i].Language])
		}
	})
	for i := range out {
		slices.SortStableFunc(out[i].Behind, func(a, b Behind) int {
			return cmp.Or(cmp.Compare(slices.Index(ObjectKinds[:], a.Object.Kind), slices.Index(ObjectKinds[:], b.Object.Kind)), cmp.Compare(a.Object.ID, b.Object.ID))
		})
	}
	return out, err
}

// count adds the texts of an object to a coverage.
func (c *Coverage) count(o Object, source Texts, now, made TextSources) {
	for _, f := range fieldsOf(source, now, made) {
		switch f.state {
		case Fresh:
			c.Fresh++
			continue
		case Stale:
			c.Stale++
		case Missing:
			c.Missing++
		}
		if len(c.Behind) < MaxBehind {
			c.Behind = append(c.Behind, Behind{o, f.name, f.state})
		}
	}
}
