package courses

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/ustat/ustat/courses/slugs"
)

const (
	slugAttempts = 100 // of inserting a course whose slug is made
	slugBlock    = 100 // numbers that are looked at together
	slugBlocks   = 40  // of which each is twice as wide as the one before
	slugOrderly  = 3   // attempts that take the first free number
)

// insertFree adds a course. Where it has no slug, one is made from its title, with a
// number when it is taken.
//
// Of courses that are created with one title at once, one gets the slug and the
// others meet ErrSlugTaken, which leaves the Tx usable. Each then asks which numbers
// are free and takes the first; after a few times it takes any of the free ones, so
// that many do not run after the same one.
func insertFree(ctx context.Context, tx Tx, c Course) (Course, error) {
	given := c.Slug != ""
	base := c.Slug
	if !given {
		if base = slugs.Make(c.Title); base == "" {
			base = "course"
		}
		c.Slug = base
	}
	for attempt := 0; ; attempt++ {
		if !slugs.IsReserved(c.Slug) {
			made, err := tx.InsertCourses(ctx, []Course{c})
			if err == nil {
				return tx.CourseBySlug(ctx, made[0].Slug)
			}
			if given || !errors.Is(err, ErrSlugTaken) || attempt == slugAttempts {
				return Course{}, err
			}
		}
		var err error
		if c.Slug, err = freeSlug(ctx, tx, base, attempt); err != nil {
			return Course{}, err
		}
	}
}

// freeSlug returns base with a number that no course has or had, as far as the
// transaction sees.
func freeSlug(ctx context.Context, tx Tx, base string, attempt int) (string, error) {
	first, step := 2, 1
	for range slugBlocks {
		candidates := make([]string, slugBlock)
		for i := range candidates {
			candidates[i] = slugs.Numbered(base, first+i*step)
		}
		first, step = first+slugBlock*step, step*2
		taken, err := tx.TakenSlugs(ctx, candidates)
		if err != nil {
			return "", err
		}
		free := without(candidates, taken)
		switch {
		case len(free) == 0:
			continue
		case attempt < slugOrderly:
			return free[0], nil
		}
		return free[rand.IntN(len(free))], nil
	}
	return "", ErrSlugTaken
}

func without(all, taken []string) []string {
	gone := make(map[string]bool, len(taken))
	for _, slug := range taken {
		gone[slug] = true
	}
	var left []string
	for _, slug := range all {
		if !gone[slug] {
			left = append(left, slug)
		}
	}
	return left
}
