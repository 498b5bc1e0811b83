package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ustat/ustat/courses"
)

// translation is what an object says in a language beside its own.
type translation struct {
	Language     string    `json:"language" doc:"BCP 47"`
	Title        string    `json:"title"`
	Description  string    `json:"description" doc:"Sanitized rich text; of a lesson its content. Empty is shown as the author wrote it"`
	Requirements string    `json:"requirements" doc:"Of a course; sanitized rich text"`
	Stale        []string  `json:"stale" nullable:"false" doc:"Which of these the author has changed since they were translated"`
	Missing      []string  `json:"missing" nullable:"false" doc:"Which of these the author wrote and nobody translated"`
	UpdatedAt    time.Time `json:"updated_at"`
}

func translationOf(t courses.TranslationView) translation {
	out := translation{
		Language: t.Language, Title: t.Title, Description: t.Description, Requirements: t.Requirements,
		Stale: []string{}, Missing: []string{}, UpdatedAt: t.UpdatedAt.UTC(),
	}
	for field, state := range t.States {
		switch state {
		case courses.Stale:
			out.Stale = append(out.Stale, field)
		case courses.Missing:
			out.Missing = append(out.Missing, field)
		}
	}
	slices.Sort(out.Stale)
	slices.Sort(out.Missing)
	return out
}

// behind is a text that is not, or no longer, translated.
type behind struct {
	Object string `json:"object" enum:"course,module,lesson"`
	ID     string `json:"id" doc:"Of a module or a lesson; the slug of the course"`
	Field  string `json:"field" enum:"title,description,requirements"`
	State  string `json:"state" enum:"stale,missing"`
}

// coverage is how far a course is translated into a language.
type coverage struct {
	Language string   `json:"language"`
	Percent  int      `json:"percent" minimum:"0" maximum:"100" doc:"Of the texts that are fresh, rounded down"`
	Fresh    int      `json:"fresh" doc:"Texts of the course, its modules and its lessons that are translated as they are now"`
	Stale    int      `json:"stale" doc:"Those that the author has changed since"`
	Missing  int      `json:"missing" doc:"Those that are not translated"`
	Behind   []behind `json:"behind" nullable:"false" doc:"The stale and the missing ones, at most 1,000"`
}

func coverageOf(slug string) func(courses.Coverage) coverage {
	return func(c courses.Coverage) coverage {
		out := coverage{c.Language, c.Percent(), c.Fresh, c.Stale, c.Missing, make([]behind, len(c.Behind))}
		for i, b := range c.Behind {
			id := slug
			if b.Object.Kind != courses.CourseObject {
				id = opaqueID(b.Object.ID)
			}
			out.Behind[i] = behind{string(b.Object.Kind), id, b.Field, string(b.State)}
		}
		return out
	}
}

func (a *api) mountTranslations() {
	get(a, route{
		path: coursePath + "coverage/", id: "courses-coverage", tag: "translations", summary: "How far a course is translated",
		description: "With its modules and lessons, into each language that anything of it is translated into. Those who may edit the course only.", signedIn: true,
	}, func(ctx context.Context, c *call) (list[coverage], error) {
		all, err := a.platform.Courses.Coverage(ctx, c.actor, c.path("slug"))
		return present(all, "", coverageOf(c.path("slug"))), err
	})
	slug := func(of func(slug string) courses.Target) func(*call) (courses.Target, error) {
		return func(c *call) (courses.Target, error) { return of(c.path("slug")), nil }
	}
	a.mountTranslationsOf("courses", coursePath, "Who sees the course.", slug(courses.OfCourse))
	a.mountTranslationsOf("modules", coursePath+"modules/{id}/", "Who sees the course.", func(c *call) (courses.Target, error) {
		id, err := c.module()
		return courses.OfModule(c.path("slug"), id), err
	})
	a.mountTranslationsOf("lessons", coursePath+"lessons/{id}/", "Those who may edit the course.", func(c *call) (courses.Target, error) {
		id, err := c.lesson()
		return courses.OfLesson(c.path("slug"), id), err
	})
	a.mountTranslationsOf("categories", Prefix+"/categories/{slug}/", "Everybody.", slug(courses.OfCategory))
	a.mountTranslationsOf("tags", Prefix+"/tags/{slug}/", "Everybody.", slug(courses.OfTag))
}

// mountTranslationsOf mounts the translations of one kind of objects below its path.
func (a *api) mountTranslationsOf(kind, path, readers string, target func(*call) (courses.Target, error)) {
	const tag = "translations"
	path += "translations/"
	one := path + "{language}/"
	var failures []int
	if kind == "lessons" { // which only who may edit the course reads
		failures = []int{http.StatusForbidden}
	}
	what := "a " + strings.TrimSuffix(kind, "s")
	if kind == "categories" {
		what = "a category"
	}
	get(a, route{
		path: path, id: kind + "-translations", tag: tag, summary: "What " + what + " says in other languages",
		description: readers + " All at once: there are at most 50.", failures: failures,
	}, func(ctx context.Context, c *call) (list[translation], error) {
		of, err := target(c)
		if err != nil {
			return list[translation]{}, err
		}
		all, err := a.platform.Courses.Translations(ctx, c.actor, of)
		return present(all, "", translationOf), err
	})
	get(a, route{
		path: one, id: kind + "-translation", tag: tag, summary: "What " + what + " says in one language", description: readers, failures: failures,
	}, func(ctx context.Context, c *call) (translation, error) {
		of, err := target(c)
		if err != nil {
			return translation{}, err
		}
		return c.translation(a.platform.Courses.Translation(ctx, c.actor, of, c.path("language")))
	})
	send(a, route{
		method: http.MethodPut, path: one, id: kind + "-translate", tag: tag, summary: "Say " + what + " in a language",
		description: "What it said in it before is replaced as a whole.", long: true, versioned: true, signedIn: true,
	}, func(ctx context.Context, c *call, in courses.NewTranslation) (translation, error) {
		of, err := target(c)
		if err != nil {
			return translation{}, err
		}
		in.IfVersion = c.version
		return c.translation(a.platform.Courses.Translate(ctx, c.actor, of, c.path("language"), in))
	})
	send(a, route{
		method: http.MethodDelete, path: one, id: kind + "-untranslate", tag: tag, summary: "Take back what " + what + " says in a language",
		versioned: true, signedIn: true,
	}, func(ctx context.Context, c *call, _ none) (none, error) {
		of, err := target(c)
		if err != nil {
			return none{}, err
		}
		return none{}, a.platform.Courses.DeleteTranslation(ctx, c.actor, of, c.path("language"), c.version)
	})
}

func (c *call) translation(t courses.TranslationView, err error) (translation, error) {
	if err != nil {
		return translation{}, err
	}
	c.at = t.Version
	c.spoken(t.Language)
	return translationOf(t), nil
}
