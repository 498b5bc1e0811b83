package courses

import (
	"cmp"
	"errors"
	"strconv"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses/richtext"
	"github.com/ustat/ustat/courses/slugs"
)

// The structs of this file are what authors write, and the bodies of requests too.
// Titles and names are plain text, one line, kept as they are given in Unicode's
// form NFC: whoever shows them escapes them. Descriptions, requirements and content
// are rich text in Format, kept as sanitized HTML.

// NewCourse is what Create takes.
type NewCourse struct {
	Title        string          `json:"title" validate:"required,max=200,line"`
	Slug         string          `json:"slug,omitempty" validate:"omitempty,slug"` // empty is made from the title
	Description  string          `json:"description,omitempty" validate:"text"`
	Requirements string          `json:"requirements,omitempty" validate:"text"`
	Format       richtext.Format `json:"format,omitempty" validate:"omitempty,oneof=html markdown"`
	Language     string          `json:"language,omitempty" validate:"omitempty,max=35,bcp47_language_tag"`
	Price        *core.Money     `json:"price,omitempty"`
	Category     string          `json:"category,omitempty" validate:"omitempty,slug"`      // slug
	Tags         []string        `json:"tags,omitempty" validate:"max=32,unique,dive,slug"` // slugs
	Capacity     int             `json:"capacity,omitempty" validate:"min=0,max=1000000"`   // seats; 0 is no bound
	// Prerequisites are the slugs of the courses that a learner completes first.
	Prerequisites []string `json:"prerequisites,omitempty" validate:"max=20,unique,dive,slug"`
	Teacher       string   `json:"teacher,omitempty" validate:"omitempty,max=64,line"` // username; empty is the actor
	Key           string   `json:"-"`                                                  // idempotency: the same Key and input give the same course
}

// CourseEdit is what Edit takes: what is nil stays.
type CourseEdit struct {
	Title        *string         `json:"title,omitempty" validate:"omitnil,min=1,max=200,line"`
	Slug         *string         `json:"slug,omitempty" validate:"omitnil,slug"` // once it was published the old one leads to the new one
	Description  *string         `json:"description,omitempty" validate:"omitnil,text"`
	Requirements *string         `json:"requirements,omitempty" validate:"omitnil,text"`
	Format       richtext.Format `json:"format,omitempty" validate:"omitempty,oneof=html markdown"` // of this edit's texts
	Language     *string         `json:"language,omitempty" validate:"omitnil,max=35,len=0|bcp47_language_tag"`
	Price        *core.Money     `json:"price,omitempty"`
	Category     *string         `json:"category,omitempty" validate:"omitnil,len=0|slug"` // slug; empty is none
	Tags         *[]string       `json:"tags,omitempty" validate:"omitnil,max=32,unique,dive,slug"`
	Capacity     *int            `json:"capacity,omitempty" validate:"omitnil,min=0,max=1000000"` // at least the seats that are taken; 0 is no bound
	// Prerequisites are the slugs of the courses that a learner completes first.
	Prerequisites *[]string `json:"prerequisites,omitempty" validate:"omitnil,max=20,unique,dive,slug"`
	IfVersion     int64     `json:"-"`
}

// CourseReplacement is what Replace takes: a field that is empty is emptied, but an
// empty Slug stays what it is.
type CourseReplacement struct {
	Title         string          `json:"title" validate:"required,max=200,line"`
	Slug          string          `json:"slug,omitempty" validate:"omitempty,slug"`
	Description   string          `json:"description,omitempty" validate:"text"`
	Requirements  string          `json:"requirements,omitempty" validate:"text"`
	Format        richtext.Format `json:"format,omitempty" validate:"omitempty,oneof=html markdown"`
	Language      string          `json:"language,omitempty" validate:"omitempty,max=35,bcp47_language_tag"`
	Price         *core.Money     `json:"price,omitempty"`
	Category      string          `json:"category,omitempty" validate:"omitempty,slug"`
	Tags          []string        `json:"tags,omitempty" validate:"max=32,unique,dive,slug"`
	Capacity      int             `json:"capacity,omitempty" validate:"min=0,max=1000000"`
	Prerequisites []string        `json:"prerequisites,omitempty" validate:"max=20,unique,dive,slug"`
	IfVersion     int64           `json:"-"`
}

// NewCategory is what CreateCategory takes.
type NewCategory struct {
	Name   string `json:"name" validate:"required,max=200,line"`
	Slug   string `json:"slug,omitempty" validate:"omitempty,slug"`   // empty is made from the name
	Parent string `json:"parent,omitempty" validate:"omitempty,slug"` // slug; empty is the top
}

// CategoryEdit is what EditCategory takes: what is nil stays.
type CategoryEdit struct {
	Name      *string `json:"name,omitempty" validate:"omitnil,min=1,max=200,line"`
	Slug      *string `json:"slug,omitempty" validate:"omitnil,slug"`
	Parent    *string `json:"parent,omitempty" validate:"omitnil,len=0|slug"` // slug; empty is the top
	IfVersion int64   `json:"-"`
}

// NewTag is what CreateTag takes.
type NewTag struct {
	Name string `json:"name" validate:"required,max=100,line"`
	Slug string `json:"slug,omitempty" validate:"omitempty,slug"` // empty is made from the name
}

// TagEdit is what EditTag takes: what is nil stays.
type TagEdit struct {
	Name      *string `json:"name,omitempty" validate:"omitnil,min=1,max=100,line"`
	Slug      *string `json:"slug,omitempty" validate:"omitnil,slug"`
	IfVersion int64   `json:"-"`
}

// NewModule is what CreateModule takes.
type NewModule struct {
	Title       string          `json:"title" validate:"required,max=200,line"`
	Description string          `json:"description,omitempty" validate:"text"`
	Format      richtext.Format `json:"format,omitempty" validate:"omitempty,oneof=html markdown"`
	// Position is its place among the modules, from 1 to one more than there are;
	// those from there on move up. Zero is the end.
	Position int    `json:"position,omitempty" validate:"min=0"`
	Key      string `json:"-"` // idempotency: the same Key and input give the same module
}

// ModuleEdit is what EditModule takes: what is nil stays.
type ModuleEdit struct {
	Title       *string         `json:"title,omitempty" validate:"omitnil,min=1,max=200,line"`
	Description *string         `json:"description,omitempty" validate:"omitnil,text"`
	Format      richtext.Format `json:"format,omitempty" validate:"omitempty,oneof=html markdown"`
	IfVersion   int64           `json:"-"`
}

// NewLesson is what CreateLesson takes.
type NewLesson struct {
	Title           string          `json:"title" validate:"required,max=200,line"`
	Kind            Kind            `json:"kind" validate:"required,oneof=text video file"`
	Content         string          `json:"content,omitempty" validate:"text"`
	Format          richtext.Format `json:"format,omitempty" validate:"omitempty,oneof=html markdown"`
	DurationSeconds int64           `json:"duration_seconds,omitempty" validate:"min=0,max=604800"`
	FreePreview     bool            `json:"free_preview,omitempty"`
	OpensAt         *time.Time      `json:"opens_at,omitempty"`                                   // not before then
	OpensAfterDays  int             `json:"opens_after_days,omitempty" validate:"min=0,max=3650"` // nor before so many after the enrollment
	// Position is its place among the lessons of the module, as NewModule has it.
	Position int    `json:"position,omitempty" validate:"min=0"`
	Key      string `json:"-"` // idempotency: the same Key, module and input give the same lesson
}

// LessonEdit is what EditLesson takes: what is nil stays.
type LessonEdit struct {
	Title           *string         `json:"title,omitempty" validate:"omitnil,min=1,max=200,line"`
	Kind            *Kind           `json:"kind,omitempty" validate:"omitnil,oneof=text video file"`
	Content         *string         `json:"content,omitempty" validate:"omitnil,text"`
	Format          richtext.Format `json:"format,omitempty" validate:"omitempty,oneof=html markdown"`
	DurationSeconds *int64          `json:"duration_seconds,omitempty" validate:"omitnil,min=0,max=604800"`
	FreePreview     *bool           `json:"free_preview,omitempty"`
	// OpensAt is when the lesson opens; the year 1, 0001-01-01T00:00:00Z, is at once.
	OpensAt        *time.Time `json:"opens_at,omitempty"`
	OpensAfterDays *int       `json:"opens_after_days,omitempty" validate:"omitnil,min=0,max=3650"`
	IfVersion      int64      `json:"-"`
}

// checks gathers what is wrong with an input, so that it is reported together.
type checks struct {
	bad   []core.Violation
	fault error // the first that names no field: not the input's
}

func (s *Service) check(input any) *checks {
	c := new(checks)
	if err := s.validate.Struct(input); err != nil {
		c.addAll(err)
	}
	return c
}

// addAll adds the violations of an error; one without any is a fault.
func (c *checks) addAll(err error) {
	if e, ok := errors.AsType[*core.Error](err); ok && len(e.Violations) > 0 {
		c.bad = append(c.bad, e.Violations...)
	} else {
		c.fault = cmp.Or(c.fault, err)
	}
}

func (c *checks) add(field, code, limit, got, message string) {
	c.addAll(core.Invalid(field, code, limit, got, message))
}

// opening refuses a time of a lesson that cannot be written as text.
func (c *checks) opening(at *time.Time) {
	if at != nil && !core.ValidTime(*at) {
		c.add("opens_at", "range", "years 1 to 9999 in UTC", at.UTC().String(), "a time in the years 1 to 9999 in UTC is expected")
	}
}

func (c *checks) unknown(field, got, what string) {
	c.add(field, "unknown", "", got, "there is no such "+what)
}

// err returns nil, a fault, or a core.ErrInvalid with all that was found.
func (c *checks) err() error {
	if c.fault != nil || len(c.bad) == 0 {
		return c.fault
	}
	return core.ErrInvalid.With(c.bad...)
}

// rich sanitizes a rich text and bounds it. A nil text stays nil.
func (c *checks) rich(field string, text *string, format richtext.Format, most int) *string {
	if text == nil || !core.ValidText(*text) { // which the struct's tags report
		return nil
	}
	if len(*text) > MaxRichInput {
		c.tooLong(field, MaxRichInput, len(*text), "the text is too long")
		return nil
	}
	clean, err := richtext.HTML(*text, format)
	if err != nil {
		c.addText(field, err)
		return nil
	}
	if len(clean) > most {
		c.tooLong(field, most, len(clean), "the text is too long once it is made safe")
		return nil
	}
	return &clean
}

// addText adds why a text is refused, as of its field.
func (c *checks) addText(field string, err error) {
	e, ok := errors.AsType[*core.Error](err)
	if !ok || len(e.Violations) == 0 {
		c.addAll(err)
		return
	}
	for _, v := range e.Violations {
		if v.Field != "format" { // which the struct's tags report
			v.Field = field
			c.bad = append(c.bad, v)
		}
	}
}

func (c *checks) tooLong(field string, most, got int, message string) {
	c.add(field, "max", strconv.Itoa(most)+" bytes", strconv.Itoa(got)+" bytes", message)
}

// free refuses the words that no course may have as its slug.
func (c *checks) free(slug *string) {
	if slug != nil && slugs.IsReserved(*slug) {
		c.add("slug", "reserved", "", *slug, "this word is reserved")
	}
}

// made returns slug, or one made from a name where it is empty.
func (c *checks) made(slug, name string) string {
	if slug != "" {
		return slug
	}
	if slug = slugs.Make(name); slug == "" && name != "" {
		c.add("slug", "required", "", "", "no slug can be made from the name: give one")
	}
	return slug
}

// line returns one line of text in the form in which it is kept.
func line(text string) string { return norm.NFC.String(text) }

func linePtr(text *string) *string {
	if text == nil {
		return nil
	}
	made := line(*text)
	return &made
}

// languagePtr returns a language in the form in which it is kept. What is none stays
// as it is: the struct's tags report it.
func languagePtr(tag *string) *string {
	if tag == nil {
		return nil
	}
	if canonical, ok := core.LanguageTag(*tag); ok {
		return &canonical
	}
	return tag
}

// edit returns the replacement as an edit of all fields.
func (r CourseReplacement) edit() CourseEdit {
	e := CourseEdit{
		Title: &r.Title, Description: &r.Description, Requirements: &r.Requirements, Format: r.Format,
		Language: &r.Language, Price: r.Price, Category: &r.Category, Tags: &r.Tags, Capacity: &r.Capacity, Prerequisites: &r.Prerequisites, IfVersion: r.IfVersion,
	}
	if r.Price == nil {
		e.Price = new(core.Money)
	}
	if r.Slug != "" {
		e.Slug = &r.Slug
	}
	return e
}

// edit returns the new course as an edit of one without anything.
func (n NewCourse) edit() CourseEdit {
	return CourseReplacement{
		Title: n.Title, Slug: n.Slug, Description: n.Description, Requirements: n.Requirements, Format: n.Format,
		Language: n.Language, Price: n.Price, Category: n.Category, Tags: n.Tags, Capacity: n.Capacity, Prerequisites: n.Prerequisites,
	}.edit()
}
