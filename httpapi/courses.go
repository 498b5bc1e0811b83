package httpapi

import (
	"context"
	"fmt"
	"math"
	"net/http"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// names returns the values of an enumeration as OpenAPI and the parser want them.
func names[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

func limitParam() param {
	return param{
		name: "limit", kind: integer, min: 1, max: core.MaxLimit, standard: core.DefaultLimit,
		doc: "How many results a page has",
	}
}

func pageParams() []param {
	return []param{limitParam(), {name: "cursor", doc: "What the page before gave as next; no other value is valid"}}
}

// filterParams are those of the lists of courses. A search requires q.
func filterParams(search bool) []param {
	return append(pageParams(),
		param{name: "q", required: search, doc: fmt.Sprintf("Full-text query, at most %d bytes and %d words; all words must be found", courses.MaxQuery, courses.MaxTerms)},
		param{name: "sort", kind: choice, choices: names(courses.Sorts[:]), doc: "Order; relevance needs q and is its default, newest is the default without"},
		param{name: "category", doc: "Slug; courses in it and below it"},
		param{name: "tag", doc: "Slug"},
		param{name: "teacher", doc: "Username"},
		param{name: "status", kind: choice, choices: names(courses.Statuses[:]), standard: string(courses.Published), doc: "Courses that are not published are seen by those who may edit them, and by those who hold a seat in them"},
		param{name: "language", kind: langTag, doc: "Base language: ru finds ru and ru-RU"},
		param{name: "price_min", kind: integer, max: math.MaxInt64, doc: "Least price in minor units of the currency"},
		param{name: "price_max", kind: integer, max: math.MaxInt64, doc: "Greatest price in minor units of the currency"},
		param{name: "currency", doc: "ISO 4217; required with a bound or an order by price when the catalogue has several"},
		param{name: "rating_min", kind: rating, doc: "Least average rating"},
	)
}

func filterOf(c *call) courses.Filter {
	ratingMin, _ := c.args.number("rating_min")
	return courses.Filter{
		Query: c.args.text("q"), Category: c.args.text("category"), Tag: c.args.text("tag"),
		Teacher: c.args.text("teacher"), Status: courses.Status(c.args.text("status")),
		Language: c.args.text("language"), Currency: c.args.text("currency"),
		PriceMin: c.args.optional("price_min"), PriceMax: c.args.optional("price_max"),
		RatingMin: int(ratingMin),
	}
}

func (a *api) mountCourses() {
	const tag = "courses"
	get(a, route{
		path: Prefix + "/courses/", id: "courses-list", tag: tag, summary: "List courses",
		query: filterParams(false),
	}, a.listCourses)
	get(a, route{
		path: Prefix + "/courses/search/", id: "courses-search", tag: tag, summary: "Search courses",
		query: filterParams(true),
	}, a.listCourses)
	get(a, route{
		path: Prefix + "/courses/top/", id: "courses-top", tag: tag, summary: "Best rated courses",
		description: "By a Bayesian mean of the ratings, best first; unrated courses never.",
		query:       []param{limitParam()},
	}, a.topCourses)
	get(a, route{
		path: Prefix + "/courses/trending/", id: "courses-trending", tag: tag, summary: "Trending courses",
		description: "By enrollments and published reviews, of which each counts half after some days. With window=all those with the most reviews ever, then the best average: rank is the same for equal ones.",
		query: []param{
			limitParam(),
			{name: "window", kind: choice, choices: []string{"recent", "all"}, standard: "recent", doc: "What is new, or all that ever was"},
			{name: "min_reviews", kind: integer, max: math.MaxInt32, standard: courses.TrendingReviews, doc: "How many reviews a course has at least"},
		},
	}, a.trendingCourses)
	get(a, route{
		path: Prefix + "/courses/categories/", id: "categories-list", tag: tag, summary: "List categories by slug",
		query: pageParams(),
	}, a.listCategories)
	get(a, route{
		path: Prefix + "/categories/{slug}/", id: "categories-get", tag: tag, summary: "One category",
	}, a.category)
	get(a, route{
		path: Prefix + "/courses/tags/", id: "tags-list", tag: tag, summary: "List tags by slug",
		query: pageParams(),
	}, a.listTags)
	get(a, route{
		path: Prefix + "/courses/{slug}/", id: "courses-get", tag: tag, summary: "One course",
		description: "A slug that the course had before it was renamed is answered with 301.", failures: []int{http.StatusMovedPermanently},
	}, a.course)
	get(a, route{
		path: Prefix + "/courses/{slug}/modules/", id: "modules-list", tag: tag, summary: "List the modules of a course",
		query: pageParams(),
	}, a.listModules)
	get(a, route{
		path: Prefix + "/courses/{slug}/lessons/", id: "lessons-list", tag: tag, summary: "List the lessons of a course",
		description: "By module and position. Those that are closed to the reader come without their content, with the reasons: free previews never are, nor is anything to who may edit the course.",
		query:       append(pageParams(), param{name: "module", kind: opaque, doc: "Id of a module: only its lessons"}),
	}, a.listLessons)
}

func (a *api) listCourses(ctx context.Context, c *call) (list[courseResult], error) {
	filter := filterOf(c)
	page, err := a.platform.Courses.List(ctx, c.actor, filter, courses.Sort(c.args.text("sort")), c.page())
	if err != nil {
		return list[courseResult]{}, err
	}
	view := resultOf
	if filter.Query != "" {
		view = foundOf
	}
	return present(page.Items, page.Next, view), nil
}

func (a *api) topCourses(ctx context.Context, c *call) (list[course], error) {
	top, err := a.platform.Courses.Top(ctx, c.page().Limit)
	return present(top, "", courseOf), err
}

func (a *api) trendingCourses(ctx context.Context, c *call) (list[rankedCourse], error) {
	q := courses.TrendingQuery{AllTime: c.args.text("window") == "all", Limit: c.page().Limit}
	if n := c.args.optional("min_reviews"); n != nil {
		least := int(*n)
		q.MinReviews = &least
	}
	ranked, err := a.platform.Courses.Trending(ctx, q)
	return present(ranked, "", rankedOf), err
}

func (a *api) course(ctx context.Context, c *call) (course, error) {
	found, err := a.platform.Courses.Course(ctx, c.actor, c.path("slug"))
	if err == nil && found.Slug != c.path("slug") { // it was renamed
		c.location = coursesPath + found.Slug + "/"
	}
	return c.course(found, err)
}

func (a *api) listCategories(ctx context.Context, c *call) (list[category], error) {
	page, err := a.platform.Courses.Categories(ctx, c.page())
	return present(page.Items, page.Next, categoryOf), err
}

func (a *api) category(ctx context.Context, c *call) (category, error) {
	return c.category(a.platform.Courses.Category(ctx, c.path("slug")))
}

func (a *api) listTags(ctx context.Context, c *call) (list[courseTag], error) {
	page, err := a.platform.Courses.Tags(ctx, c.page())
	return present(page.Items, page.Next, tagOf), err
}

func (a *api) listModules(ctx context.Context, c *call) (list[module], error) {
	page, err := a.platform.Courses.Modules(ctx, c.actor, c.path("slug"), c.page())
	return present(page.Items, page.Next, moduleOf), err
}

func (a *api) listLessons(ctx context.Context, c *call) (list[lesson], error) {
	module, _ := c.args.number("module")
	page, err := a.platform.Courses.Lessons(ctx, c.actor, c.path("slug"), courses.ModuleID(module), c.page())
	return present(page.Items, page.Next, lessonOf), err
}
