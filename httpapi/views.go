package httpapi

import (
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// The types of this file are what clients of v1 read, each made by one presenter.
// Their JSON never changes by accident: the tests hold it.

// list is a page of T.
type list[T any] struct {
	Results []T     `json:"results" nullable:"false"`
	Next    *string `json:"next" doc:"The cursor of the next page; null on the last"`
}

func present[T, V any](items []T, next string, view func(T) V) list[V] {
	out := list[V]{Results: make([]V, len(items))}
	for i, item := range items {
		out.Results[i] = view(item)
	}
	if next != "" {
		out.Next = &next
	}
	return out
}

type teacher struct {
	Username string `json:"username"`
	Name     string `json:"name"`
}

type categoryName struct {
	_    struct{} `nullable:"true"`
	Slug string   `json:"slug"`
	Name string   `json:"name"`
}

type courseTag struct {
	Slug string `json:"slug"`
	Name string `json:"name"`
}

func tagOf(t courses.Tag) courseTag { return courseTag{t.Slug, t.Name} }

type course struct {
	Slug          string        `json:"slug" doc:"Names the course"`
	Title         string        `json:"title"`
	Description   string        `json:"description" doc:"Sanitized rich text"`
	Requirements  string        `json:"requirements"`
	Language      string        `json:"language" doc:"In which the texts are, as a BCP 47 tag; empty when unknown"`
	BaseLanguage  string        `json:"base_language" doc:"In which the author wrote it; empty when unknown"`
	Price         core.Money    `json:"price" doc:"In minor units of a currency of ISO 4217: 199900 is 1999.00 RUB"`
	Status        string        `json:"status" enum:"draft,review,published,archived"`
	Teacher       teacher       `json:"teacher"`
	Category      *categoryName `json:"category" doc:"null when it has none"`
	Tags          []courseTag   `json:"tags" nullable:"false"`
	AverageRating *float64      `json:"average_rating" minimum:"1" maximum:"5" doc:"null when unrated"`
	ReviewCount   int64         `json:"review_count"`
	StudentCount  int64         `json:"student_count"`
	CreatedAt     time.Time     `json:"created_at"`
	UpdatedAt     time.Time     `json:"updated_at"`
	PublishedAt   *time.Time    `json:"published_at" doc:"null when it never was"`
	Capacity      *int          `json:"capacity" minimum:"1" doc:"Seats; null without a bound"`
	Prerequisites []string      `json:"prerequisites,omitzero" nullable:"false" doc:"Slugs of the courses that a learner completes first; only of one course"`
	Rejection     string        `json:"rejection_reason,omitempty" doc:"Why a review sent it back, until it is submitted again"`
}

func courseOf(c courses.Course) course {
	out := course{
		Slug: c.Slug, Title: c.Title, Description: c.Description, Requirements: c.Requirements,
		Language: c.Language, BaseLanguage: c.BaseLanguage, Price: c.Price, Status: string(c.Status),
		Teacher:     teacher{c.Teacher.Username, c.Teacher.Name},
		Tags:        make([]courseTag, len(c.Tags)),
		ReviewCount: c.Stats.ReviewCount, StudentCount: c.Stats.Students,
		CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(),
	}
	if c.Category.Slug != "" {
		out.Category = &categoryName{Slug: c.Category.Slug, Name: c.Category.Name}
	}
	for i, t := range c.Tags {
		out.Tags[i] = tagOf(t)
	}
	if average, rated := c.Stats.AverageRating(); rated {
		out.AverageRating = &average
	}
	out.PublishedAt = timeOrNull(c.PublishedAt)
	out.Rejection = c.Rejection
	if c.Capacity > 0 {
		out.Capacity = &c.Capacity
	}
	return out
}

// courseResult is a course of a list.
type courseResult struct {
	course
	Snippet *string `json:"snippet,omitempty"` // nil without a query
}

// Schema implements huma.SchemaProvider: huma does not look into embedded types
// that are not exported.
func (courseResult) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{AllOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[course](), true, ""),
		{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"snippet": {
			Type:        huma.TypeString,
			Description: "The part of the description around what was searched for; only with q",
		}}},
	}}
}

// rankedCourse is a trending course.
type rankedCourse struct {
	course
	Rank int `json:"rank"`
}

// Schema implements huma.SchemaProvider, as courseResult does.
func (rankedCourse) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{AllOf: []*huma.Schema{
		r.Schema(reflect.TypeFor[course](), true, ""),
		{Type: huma.TypeObject, Required: []string{"rank"}, Properties: map[string]*huma.Schema{"rank": {
			Type: huma.TypeInteger, Description: "Its place, from 1",
		}}},
	}}
}

func rankedOf(r courses.Ranked) rankedCourse { return rankedCourse{courseOf(r.Course), r.Rank} }

func resultOf(r courses.Result) courseResult { return courseResult{course: courseOf(r.Course)} }

// foundOf is resultOf for a search.
func foundOf(r courses.Result) courseResult {
	out := resultOf(r)
	out.Snippet = &r.Snippet
	return out
}

type category struct {
	Slug        string  `json:"slug"`
	Name        string  `json:"name"`
	Language    string  `json:"language,omitempty" doc:"Of the name, where that is a translation"`
	Parent      *string `json:"parent" doc:"The slug of the category above; null at the top"`
	CourseCount int     `json:"course_count" doc:"Published courses in it and below it"`
}

func categoryOf(c courses.Category) category {
	out := category{Slug: c.Slug, Name: c.Name, Language: c.Language, CourseCount: c.CourseCount}
	if c.Parent != "" {
		out.Parent = &c.Parent
	}
	return out
}

// opaqueID returns an id as clients see it.
func opaqueID(id int64) string { return strconv.FormatInt(id, 10) }

type module struct {
	ID          string `json:"id" doc:"Opaque"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Position    int    `json:"position"`
	Language    string `json:"language,omitempty" doc:"In which the texts are, where that is known"`
}

func moduleOf(m courses.Module) module {
	return module{opaqueID(int64(m.ID)), m.Title, m.Description, m.Position, m.Language}
}

type lesson struct {
	ID              string      `json:"id" doc:"Opaque"`
	Module          string      `json:"module" doc:"The id of its module"`
	Title           string      `json:"title"`
	Language        string      `json:"language,omitempty" doc:"In which the texts are, where that is known"`
	Kind            string      `json:"kind" enum:"text,video,file"`
	Content         string      `json:"content" doc:"Sanitized rich text; empty when locked"`
	DurationSeconds int64       `json:"duration_seconds"`
	FreePreview     bool        `json:"free_preview"`
	Position        int         `json:"position" doc:"From 1 within its module"`
	OpensAt         *time.Time  `json:"opens_at" doc:"When it opens to the reader, and to who may edit it what was set; null is at once, or not known before the enrollment"`
	OpensAfterDays  int         `json:"opens_after_days" doc:"Days after the enrollment that it opens, not before opens_at"`
	Locked          bool        `json:"locked"`
	Reasons         []string    `json:"reasons" nullable:"false" doc:"Why it is locked: enrollment_required, payment_required, not_yet_open, prerequisite_required, or a platform's own"`
	File            *lessonFile `json:"file" doc:"Of a video or a file; null where there is none that is ready. Those who may edit the course see the newest upload, whatever its state"`
}

func lessonOf(l courses.Lesson) lesson {
	out := lesson{
		ID: opaqueID(int64(l.ID)), Module: opaqueID(int64(l.ModuleID)),
		Title: l.Title, Language: l.Language, Kind: string(l.Kind), Content: l.Content,
		DurationSeconds: int64(l.Duration / time.Second), FreePreview: l.FreePreview,
		Position: l.Position, OpensAt: timeOrNull(l.Opens), OpensAfterDays: l.OpensAfterDays, Locked: l.Locked, Reasons: l.Reasons, File: lessonFileOf(l.File),
	}
	if out.Reasons == nil {
		out.Reasons = []string{}
	}
	return out
}
