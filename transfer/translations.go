package transfer

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/richtext"
)

type translation struct {
	kind            courses.ObjectKind
	key             objectKey
	language        string
	texts           courses.Texts
	sources         courses.TextSources
	hasSources      bool
	named           string // the key as it stands in the file
	hasDescription  bool
	hasRequirements bool
}

// objectKey is how a file names what is translated: a slug, and for modules and lessons
// positions.
type objectKey struct {
	slug             string
	module, position int
}

const (
	translationObject = iota
	translationKey
	translationLanguage
	translationTitle
	translationDescription
	translationRequirements
	translationSources
)

// translations reads translations.csv. Without a sources cell a translation counts as
// made of what its object says now, unless it is stored as it is already.
type translations struct {
	store courses.Store
	clock core.Clock
}

func (t *translations) columns() []column {
	return []column{{"object", true}, {"key", true}, {"language", true}, {"title", true}, {"description", false}, {"requirements", false}, {"sources", false}}
}

func (t *translations) parse(c *cells) translation {
	r := translation{
		kind: oneOf(c, translationObject, courses.ObjectKinds[:]...), named: c.reference(translationKey),
		language: c.language(translationLanguage, maxLanguage), hasDescription: c.has(translationDescription), hasRequirements: c.has(translationRequirements),
	}
	r.key = c.objectKey(r.kind, r.named)
	most := courses.MaxDescription
	if r.kind == courses.LessonObject {
		most = courses.MaxContent
	}
	r.texts = courses.Texts{Title: c.title(translationTitle, maxTitle), Description: c.rich(translationDescription, maxContent, most), Requirements: c.rich(translationRequirements, maxDescription, courses.MaxDescription)}
	if r.texts.Description != "" && (r.kind == courses.CategoryObject || r.kind == courses.TagObject) {
		c.refuse(translationDescription, "categories and tags have a title alone")
	}
	if r.texts.Requirements != "" && r.kind != courses.CourseObject {
		c.refuse(translationRequirements, "only courses have requirements")
	}
	r.sources, r.hasSources = c.sources(translationSources)
	return r
}

// objectKey reads "slug", "slug/1" of a module and "slug/1/2" of a lesson.
func (c *cells) objectKey(kind courses.ObjectKind, text string) objectKey {
	parts := strings.Split(text, "/")
	want := map[courses.ObjectKind]int{courses.ModuleObject: 2, courses.LessonObject: 3}[kind]
	if len(parts) != max(want, 1) {
		c.refuse(translationKey, "%s is no key of a %s: a slug, of a module with its position behind it (go/1), of a lesson with both (go/1/2)", quote(text), kind)
		return objectKey{}
	}
	k := objectKey{slug: parts[0]}
	for i, part := range parts[1:] {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil || n < 1 || strconv.FormatInt(n, 10) != part {
			c.refuse(translationKey, "%s is no position", quote(part))
		}
		if i == 0 {
			k.module = int(n)
		} else {
			k.position = int(n)
		}
	}
	return k
}

var sourcesForm = regexp.MustCompile(`^([0-9a-f]{16}|-) ([0-9a-f]{16}|-) ([0-9a-f]{16}|-)$`)

// sources reads what sourcesCell writes; an empty cell is none.
func (c *cells) sources(col int) (courses.TextSources, bool) {
	text := c.raw(col)
	if text == "" {
		return courses.TextSources{}, false
	}
	if !sourcesForm.MatchString(text) {
		c.refuse(col, "%s is not what an export writes here", quote(text))
		return courses.TextSources{}, false
	}
	parts := strings.Split(strings.ReplaceAll(text, "-", ""), " ")
	return courses.TextSources{Title: parts[0], Description: parts[1], Requirements: parts[2]}, true
}

func sourcesCell(s courses.TextSources) string {
	or := func(hash string) string {
		if hash == "" {
			return "-"
		}
		return hash
	}
	return or(s.Title) + " " + or(s.Description) + " " + or(s.Requirements)
}

type translationID struct {
	kind     courses.ObjectKind
	key      objectKey
	language string
}

func (t *translations) repeated(r *translation, seen *keySet) string {
	if !addKey(seen, translationID{r.kind, r.key, r.language}) {
		return "language"
	}
	return ""
}

// original is an object as its author wrote it.
type original struct {
	object   courses.Object
	course   courses.CourseID // 0 of categories and tags
	language string
	texts    courses.Texts
}

func (t *translations) plan(ctx context.Context, rows []row[translation], refuse refuseFunc) (changes, error) {
	if len(rows) == 0 {
		return changes{}, nil
	}
	originals, err := t.originals(ctx, rows)
	if err != nil {
		return changes{}, err
	}
	var objects []courses.Object
	for _, o := range originals {
		objects = append(objects, o.object)
	}
	found, err := t.store.Translations(ctx, objects, nil)
	if err != nil {
		return changes{}, err
	}
	type said struct {
		object   courses.Object
		language string
	}
	stored := indexBy(found, func(x courses.Translation) said { return said{x.Object, x.Language} })
	languages := map[courses.Object]int{}
	for _, x := range found {
		languages[x.Object]++
	}
	var inserts, updates []courses.Translation
	var ids []courses.CourseID
	for i := range rows {
		r := &rows[i].cell
		o, ok := originals[originalKey{r.kind, r.key}]
		switch {
		case !ok:
			refuse(i, "key", "there is no "+string(r.kind)+" "+quote(r.named))
			continue
		case o.course != 0 && o.language == r.language:
			refuse(i, "language", "this is the language in which the course is written")
			continue
		}
		x, there := stored[said{o.object, r.language}]
		next := r.over(x, o)
		switch {
		case !there && languages[o.object] >= courses.MaxTranslations:
			refuse(i, "language", "the object is said in "+strconv.Itoa(courses.MaxTranslations)+" languages already")
			continue
		case !there:
			languages[o.object]++
			inserts = append(inserts, next)
		case x.Texts != next.Texts || x.TextPolicy != next.TextPolicy || x.Sources != next.Sources:
			updates = append(updates, next)
		default:
			continue
		}
		if o.course != 0 {
			ids = append(ids, o.course)
		}
	}
	return changes{len(inserts), len(updates), func(ctx context.Context) error {
		return t.write(ctx, objects, found, ids, slices.Concat(inserts, updates))
	}}, nil
}

// over returns x with the cells of the row, as it is made of o.
func (r *translation) over(x courses.Translation, o original) courses.Translation {
	next := x
	next.Object, next.Language, next.TextPolicy, next.Title = o.object, r.language, richtext.Version, r.texts.Title
	if r.hasDescription {
		next.Description = r.texts.Description
	}
	if r.hasRequirements {
		next.Requirements = r.texts.Requirements
	}
	switch {
	case r.hasSources:
		next.Sources = r.sources
	case next.Texts != x.Texts:
		next.Sources = courses.SourcesOf(o.texts, next.Texts)
	}
	return next
}

type originalKey struct {
	kind courses.ObjectKind
	key  objectKey
}

// originals returns what the rows name, by at most five statements.
func (t *translations) originals(ctx context.Context, rows []row[translation]) (map[originalKey]original, error) {
	slugs := map[courses.ObjectKind][]string{}
	for i := range rows {
		r := &rows[i].cell
		kind := r.kind
		if kind == courses.ModuleObject || kind == courses.LessonObject {
			kind = courses.CourseObject
		}
		slugs[kind] = append(slugs[kind], r.key.slug)
	}
	out := map[originalKey]original{}
	list, err := t.store.CoursesBySlug(ctx, slugs[courses.CourseObject])
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		out[originalKey{courses.CourseObject, objectKey{slug: c.Slug}}] = original{
			courses.Object{Kind: courses.CourseObject, ID: int64(c.ID)}, c.ID, c.Language, courses.Texts{Title: c.Title, Description: c.Description, Requirements: c.Requirements},
		}
	}
	if err := t.content(ctx, rows, list, out); err != nil {
		return nil, err
	}
	categories, err := t.store.CategoriesBySlug(ctx, slugs[courses.CategoryObject])
	if err != nil {
		return nil, err
	}
	for _, c := range categories {
		out[originalKey{courses.CategoryObject, objectKey{slug: c.Slug}}] = original{object: courses.Object{Kind: courses.CategoryObject, ID: int64(c.ID)}, texts: courses.Texts{Title: c.Name}}
	}
	tags, err := t.store.TagsBySlug(ctx, slugs[courses.TagObject])
	for _, tag := range tags {
		out[originalKey{courses.TagObject, objectKey{slug: tag.Slug}}] = original{object: courses.Object{Kind: courses.TagObject, ID: int64(tag.ID)}, texts: courses.Texts{Title: tag.Name}}
	}
	return out, err
}

// content adds the modules and lessons of courses that the rows name.
func (t *translations) content(ctx context.Context, rows []row[translation], list []courses.Course, out map[originalKey]original) error {
	byID := indexBy(list, func(c courses.Course) courses.CourseID { return c.ID })
	ids := make([]courses.CourseID, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	modules, err := t.store.ModulesOf(ctx, ids)
	if err != nil {
		return err
	}
	positions := map[courses.ModuleID]int{}
	for _, m := range modules {
		c := byID[m.CourseID]
		positions[m.ID] = m.Position
		out[originalKey{courses.ModuleObject, objectKey{c.Slug, m.Position, 0}}] = original{
			courses.Object{Kind: courses.ModuleObject, ID: int64(m.ID)}, c.ID, c.Language, courses.Texts{Title: m.Title, Description: m.Description},
		}
	}
	var places []courses.LessonPlace
	for i := range rows {
		r := &rows[i].cell
		module, ok := out[originalKey{courses.ModuleObject, objectKey{r.key.slug, r.key.module, 0}}]
		if r.kind == courses.LessonObject && ok {
			places = append(places, courses.LessonPlace{Module: courses.ModuleID(module.object.ID), Position: r.key.position})
		}
	}
	return t.store.LessonsAt(ctx, places, func(l courses.Lesson) {
		c := byID[l.CourseID]
		out[originalKey{courses.LessonObject, objectKey{c.Slug, positions[l.ModuleID], l.Position}}] = original{
			courses.Object{Kind: courses.LessonObject, ID: int64(l.ID)}, c.ID, c.Language, courses.Texts{Title: l.Title, Description: l.Content},
		}
	})
}

// write writes translations where all that was planned with is as it was; else it fails
// with core.ErrConflict.
func (t *translations) write(ctx context.Context, objects []courses.Object, planned []courses.Translation, ids []courses.CourseID, list []courses.Translation) error {
	now := t.clock.Now()
	for i := range list {
		list[i].UpdatedAt = now
	}
	version := func(x courses.Translation) int64 { return x.Version }
	return t.store.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
		if err := lockAll(ctx, tx, ids); err != nil {
			return err
		}
		stored, err := tx.Translations(ctx, objects, nil)
		if err != nil {
			return err
		}
		if !slices.EqualFunc(planned, stored, func(a, b courses.Translation) bool {
			return a.Object == b.Object && a.Language == b.Language && version(a) == version(b)
		}) {
			return errChanged
		}
		_, err = tx.PutTranslations(ctx, list)
		return err
	})
}

func (t *translations) finish(ctx context.Context, event *core.Event) error {
	return emitCourses(ctx, t.store, event)
}
