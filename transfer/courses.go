package transfer

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ustat/ustat/accounts"
	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/courses/richtext"
	"github.com/ustat/ustat/courses/slugs"
	"github.com/ustat/ustat/storage"
)

const (
	maxTitle       = 200 // characters
	maxDescription = courses.MaxDescription
	maxLanguage    = 35 // characters
	maxTags        = courses.MaxTags
	maxTag         = 100    // characters
	maxTagSlugs    = 10_000 // of those kept at hand
)

type course struct {
	slug, title, description, language, category, teacher string
	price                                                 core.Money
	status                                                courses.Status
	tags                                                  []courses.Tag // by slug
	created                                               time.Time
	requirements                                          string
	hasRequirements                                       bool
	capacity                                              int
}

const (
	courseSlug = iota
	courseTitle
	courseDescription
	courseLanguage
	courseCategory
	courseTeacher
	coursePrice
	courseCurrency
	courseStatus
	courseTags
	courseCreated
	courseRequirements
	courseCapacity
)

// catalogue reads courses.csv. An empty created_at and a requirements column that
// is not in the file leave what is stored. The capacity counts for new courses alone:
// that of a stored one depends on who has a seat.
type catalogue struct {
	store    courses.Store
	accounts accounts.Reader
	clock    core.Clock
	tagSlugs map[string]string // by name; only parse uses it
}

func newCatalogue(backend *storage.Backend, clock core.Clock) *catalogue {
	return &catalogue{store: backend.Courses, accounts: backend.Accounts, clock: clock, tagSlugs: map[string]string{}}
}

func (t *catalogue) columns() []column {
	return []column{
		{"slug", true},
		{"title", true},
		{"description", true},
		{"language", true},
		{"category", true},
		{"teacher", true},
		{"price", true},
		{"currency", true},
		{"status", true},
		{"tags", true},
		{"created_at", true},
		{"requirements", false},
		{"capacity", false},
	}
}

func (t *catalogue) parse(c *cells) course {
	row := course{
		slug:            c.slug(courseSlug),
		title:           c.title(courseTitle, maxTitle),
		description:     c.rich(courseDescription, maxDescription, maxDescription),
		language:        c.language(courseLanguage, maxLanguage),
		category:        c.reference(courseCategory),
		teacher:         c.reference(courseTeacher),
		price:           c.money(coursePrice, courseCurrency),
		status:          oneOf(c, courseStatus, courses.Statuses[:]...),
		tags:            t.tags(c),
		created:         c.time(courseCreated),
		requirements:    c.rich(courseRequirements, maxDescription, maxDescription),
		hasRequirements: c.has(courseRequirements),
	}
	if c.raw(courseCapacity) != "" {
		if row.capacity = c.number(courseCapacity, 0); row.capacity > courses.MaxCapacity {
			c.refuse(courseCapacity, "more than %d seats", courses.MaxCapacity)
		}
	}
	return row
}

// tags returns the tags of a cell by slug, each once: of names with one slug the
// first is taken.
func (t *catalogue) tags(c *cells) []courses.Tag {
	cell := c.raw(courseTags)
	if cell == "" {
		return nil
	}
	var tags []courses.Tag
	for name := range strings.SplitSeq(cell, ";") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if len(tags) == maxTags {
			c.refuse(courseTags, "more than %d tags", maxTags)
			return nil
		}
		if len([]rune(name)) > maxTag {
			c.refuse(courseTags, "the tag %s is longer than %d characters", quote(name), maxTag)
			return nil
		}
		if !core.IsLine(name) {
			c.refuse(courseTags, "the tag %s is not one line of text that is seen", quote(name))
			return nil
		}
		slug := t.tagSlug(name)
		if slug == "" {
			c.refuse(courseTags, "the tag %s has no letter or digit", quote(name))
			return nil
		}
		if !slices.ContainsFunc(tags, func(tag courses.Tag) bool { return tag.Slug == slug }) {
			tags = append(tags, courses.Tag{Slug: slug, Name: name})
		}
	}
	bySlug(tags)
	return tags
}

func bySlug(tags []courses.Tag) {
	slices.SortFunc(tags, func(a, b courses.Tag) int { return strings.Compare(a.Slug, b.Slug) })
}

func (t *catalogue) tagSlug(name string) string {
	slug, ok := t.tagSlugs[name]
	if !ok {
		if len(t.tagSlugs) >= maxTagSlugs {
			clear(t.tagSlugs)
		}
		slug = slugs.Make(name)
		t.tagSlugs[strings.Clone(name)] = slug
	}
	return slug
}

func (t *catalogue) repeated(r *course, seen *keySet) string {
	if !addKey(seen, r.slug) {
		return "slug"
	}
	return ""
}

// around is what a batch of courses refers to and meets.
type around struct {
	categories map[string]courses.Category
	teachers   map[string]accounts.User // by folded username
	stored     map[string]courses.Course
	taken      map[string]string // the slugs that courses have or had
}

func (t *catalogue) look(ctx context.Context, rows []row[course]) (around, error) {
	var a around
	categories := distinct(rows, func(r *course) string { return r.category })
	foundCategories, err := t.store.CategoriesBySlug(ctx, categories)
	if err != nil {
		return a, err
	}
	foundUsers, err := t.accounts.UsersByName(ctx, distinct(rows, func(r *course) string { return r.teacher }), nil)
	if err != nil {
		return a, err
	}
	slugs := distinct(rows, func(r *course) string { return r.slug })
	found, err := t.store.CoursesBySlug(ctx, slugs)
	if err != nil {
		return a, err
	}
	taken, err := t.store.TakenSlugs(ctx, slugs)
	if err != nil {
		return a, err
	}
	a.taken = indexBy(taken, func(slug string) string { return slug })
	a.categories = indexBy(foundCategories, func(c courses.Category) string { return c.Slug })
	a.teachers = indexBy(foundUsers, func(u accounts.User) string { return core.Fold(u.Username) })
	a.stored = indexBy(found, func(c courses.Course) string { return c.Slug })
	return a, nil
}

func (t *catalogue) plan(ctx context.Context, rows []row[course], refuse refuseFunc) (changes, error) {
	if len(rows) == 0 {
		return changes{}, nil
	}
	around, err := t.look(ctx, rows)
	if err != nil {
		return changes{}, err
	}
	now := t.clock.Now()
	var inserts, updates []courses.Course
	var opened []string
	for i := range rows {
		r := &rows[i].cell
		stored, there := around.stored[r.slug]
		if !there && slugs.IsReserved(r.slug) { // a course that has it already keeps it
			refuse(i, "slug", quote(r.slug)+" is reserved")
			continue
		}
		category, ok := around.categories[r.category]
		if !ok {
			refuse(i, "category", "there is no category "+quote(r.category))
			continue
		}
		teacher, ok := around.teachers[core.Fold(r.teacher)]
		if !ok {
			refuse(i, "teacher", "there is no user "+quote(r.teacher))
			continue
		}
		if teacher.Role.Rank() < core.Teacher.Rank() {
			refuse(i, "teacher", "the user "+quote(r.teacher)+" is a "+string(teacher.Role)+" and may not teach")
			continue
		}
		if _, taken := around.taken[r.slug]; taken && !there {
			refuse(i, "slug", "a course had the slug "+quote(r.slug)+" before it was renamed, and keeps it")
			continue
		}
		next := r.over(stored, category.ID, teacher.ID, now)
		switch {
		case !there:
			inserts = append(inserts, next)
		case !sameCourse(&stored, &next):
			updates = append(updates, next)
			if opens(&stored, &next) {
				opened = append(opened, next.Slug)
			}
		}
	}
	return changes{len(inserts), len(updates), func(ctx context.Context) error {
		return t.write(ctx, inserts, updates, opened)
	}}, nil
}

// opens reports whether a change of a course may let in who waits for a seat: it is
// published, or costs nothing any more.
func opens(was, next *courses.Course) bool {
	return next.Status == courses.Published && (was.Status != courses.Published || next.Price.Minor == 0 && was.Price.Minor > 0)
}

// over returns c with the cells of the row.
func (r *course) over(c courses.Course, category courses.CategoryID, teacher core.UserID, now time.Time) courses.Course {
	next := c
	next.Slug, next.Title, next.Description, next.Language = r.slug, r.title, r.description, r.language
	next.Price, next.Status, next.Tags, next.UpdatedAt = r.price, r.status, r.tags, now
	next.Category, next.Teacher = courses.Category{ID: category}, courses.Teacher{ID: teacher}
	switch {
	case r.hasRequirements:
		next.Requirements = r.requirements
	case c.TextPolicy != richtext.Version:
		// What is stored is text; the policy has no error for that.
		next.Requirements, _ = richtext.HTML(c.Requirements, richtext.PlainHTML)
	}
	next.TextPolicy = richtext.Version
	if c.ID == 0 {
		next.Capacity = r.capacity
	}
	if !r.created.IsZero() {
		next.CreatedAt = r.created
	} else if c.ID == 0 {
		next.CreatedAt = now
	}
	if next.Status == courses.Published && (c.PublishedAt.IsZero() || c.PublishedAt.Equal(c.CreatedAt)) {
		next.PublishedAt = next.CreatedAt
	}
	return next
}

// sameCourse reports whether nothing that a row gives differs.
func sameCourse(a, b *courses.Course) bool {
	return a.Title == b.Title && a.Description == b.Description && a.Requirements == b.Requirements &&
		a.TextPolicy == b.TextPolicy &&
		a.Language == b.Language && a.Price == b.Price && a.Status == b.Status &&
		a.Teacher.ID == b.Teacher.ID && a.Category.ID == b.Category.ID &&
		a.CreatedAt.Equal(b.CreatedAt) && a.PublishedAt.Equal(b.PublishedAt) && sameTags(a.Tags, b.Tags)
}

// sameTags reports whether two lists have the same slugs. A tag keeps the name
// under which it was first seen.
func sameTags(a, b []courses.Tag) bool {
	if len(a) != len(b) {
		return false
	}
	for _, tag := range a {
		if !slices.ContainsFunc(b, func(other courses.Tag) bool { return other.Slug == tag.Slug }) {
			return false
		}
	}
	return true
}

// write writes a batch, and lets in who waits for seats of the courses that it opens.
func (t *catalogue) write(ctx context.Context, inserts, updates []courses.Course, opened []string) error {
	var tags []courses.Tag
	seen := map[string]bool{}
	var teachers []core.UserID // who are given a course
	for _, list := range [...][]courses.Course{inserts, updates} {
		for _, c := range list {
			teachers = append(teachers, c.Teacher.ID)
			for _, tag := range c.Tags {
				if !seen[tag.Slug] {
					seen[tag.Slug] = true
					tags = append(tags, tag)
				}
			}
		}
	}
	slices.Sort(teachers)
	teachers = slices.Compact(teachers)
	bySlug(tags) // so that two imports at once take them in one order
	planned := make(map[courses.CourseID]int64, len(updates))
	for _, c := range updates {
		planned[c.ID] = c.Version
	}
	return t.store.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
		if err := unchanged(ctx, planned, tx.LockCourses); err != nil {
			return err
		}
		if err := stillTeach(ctx, tx, teachers); err != nil {
			return err
		}
		ids := map[string]courses.TagID{}
		if len(tags) > 0 {
			ensured, err := tx.EnsureTags(ctx, tags)
			if err != nil {
				return err
			}
			for _, tag := range ensured {
				ids[tag.Slug] = tag.ID
			}
		}
		if len(inserts) > 0 {
			if _, err := tx.InsertCourses(ctx, tagged(inserts, ids)); err != nil {
				return err
			}
		}
		if len(updates) == 0 {
			return nil
		}
		if err := tx.UpdateCourses(ctx, tagged(updates, ids)); err != nil || len(opened) == 0 {
			return err
		}
		seats, err := tx.SeatsOf(ctx, opened)
		if err != nil {
			return err
		}
		for i := range seats { // a course that nobody waits for costs no statement
			if err := letIn(ctx, tx, &seats[i], t.clock.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// stillTeach keeps the teachers of a batch to that until the end of the transaction. It
// fails with errChanged if one has lost the right to teach since the plan.
func stillTeach(ctx context.Context, tx courses.Tx, teachers []core.UserID) error {
	standings, err := tx.LockTeachers(ctx, teachers)
	for _, now := range standings {
		if now.Role.Rank() < core.Teacher.Rank() {
			return errChanged
		}
	}
	return err
}

// tagged returns a copy of list whose tags have ids.
func tagged(list []courses.Course, ids map[string]courses.TagID) []courses.Course {
	list = slices.Clone(list)
	for i := range list {
		list[i].Tags = slices.Clone(list[i].Tags)
		for k := range list[i].Tags {
			list[i].Tags[k].ID = ids[list[i].Tags[k].Slug]
		}
	}
	return list
}

// finish counts the categories' courses anew, changes or not, so that an import
// that was killed midway is put right by the next one.
func (t *catalogue) finish(ctx context.Context, event *core.Event) error {
	return recount(ctx, t.store, event)
}

// recount counts the categories' courses and emits the event, if there is one.
func recount(ctx context.Context, store courses.Store, event *core.Event) error {
	return store.Update(ctx, func(ctx context.Context, tx courses.Tx) error {
		if err := tx.RecountCategories(ctx); err != nil || event == nil {
			return err
		}
		return tx.Emit(ctx, *event)
	})
}

// distinct returns the names that rows have, each once.
func distinct[R any](rows []row[R], name func(*R) string) []string {
	seen := make(map[string]struct{}, len(rows))
	var names []string
	for i := range rows {
		n := name(&rows[i].cell)
		if _, ok := seen[n]; !ok {
			seen[n] = struct{}{}
			names = append(names, n)
		}
	}
	return names
}

// emitCourses emits the event of a file of the catalogue, if there is one.
func emitCourses(ctx context.Context, store courses.Store, event *core.Event) error {
	if event == nil {
		return nil
	}
	return store.Update(ctx, func(ctx context.Context, tx courses.Tx) error { return tx.Emit(ctx, *event) })
}
