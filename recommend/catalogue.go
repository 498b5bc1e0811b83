package recommend

import (
	"slices"
	"strconv"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
)

// catalogue numbers the courses that a model has heard of, from 0. A number stays
// for the life of the model.
type catalogue struct {
	ids    []courses.CourseID
	index  map[courses.CourseID]uint32
	listed []bool // whether a course may be recommended: an Item told of it, and it is not Unlisted
	items  []Item // the zero Item for a course that only interactions have named
}

func newCatalogue() catalogue { return catalogue{index: map[courses.CourseID]uint32{}} }

func (c *catalogue) len() int { return len(c.ids) }

// number returns the course's number, and gives it one where it is new. It returns core.ErrInvalid beyond MaxItems.
func (c *catalogue) number(id courses.CourseID) (uint32, error) {
	if i, ok := c.index[id]; ok {
		return i, nil
	}
	if id <= 0 {
		return 0, core.Invalid("course", "min", "1", strconv.FormatInt(int64(id), 10), "is no id of a course")
	}
	if len(c.ids) >= MaxItems {
		return 0, core.Invalid("course", "max", strconv.Itoa(MaxItems), strconv.Itoa(len(c.ids)+1), "there are too many courses for a model")
	}
	i := uint32(len(c.ids))
	c.ids, c.items, c.listed, c.index[id] = append(c.ids, id), append(c.items, Item{}), append(c.listed, false), i
	return i, nil
}

// put replaces what is known of a course.
func (c *catalogue) put(i uint32, item Item) {
	item.Categories, item.Concepts = slices.Clone(item.Categories), slices.Clone(item.Concepts)
	c.items[i], c.listed[i] = item, item.ID != 0 && !item.Unlisted
}
