// Package evaluate measures strategies of package recommend offline: it holds a part of real
// histories back, trains on the rest, and looks how far up a strategy ranks what learners took
// next. The same data, split and strategies give the same figures.
//
// A strategy is measured by
//
//	data, err := evaluate.Open("interactions.csv.gz", "courses.csv.gz", "")
//	report, err := evaluate.Run(ctx, data, []recommend.Strategy{recommend.NewHybrid(nil), mine}, nil)
//
// so that a test of an embedder can fail when a change makes its lists worse.
package evaluate

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/recommend"
)

// MaxRows is how many rows a file may have.
const MaxRows = 50_000_000

// Entry is one course of a learner's history. Rating is 0 where none was given.
type Entry struct {
	Course courses.CourseID
	At     time.Time
	Rating float64
}

// Learner is one learner with what they took, each course once, by time and then by course.
type Learner struct {
	User    core.UserID
	Entries []Entry
}

// Data are learners in order of User, and courses in order of ID. Courses that only
// interactions name are there too, without a description.
type Data struct {
	Learners []Learner
	Items    []recommend.Item
	// Unseen are learners beside Learners who are tested and never trained on.
	Unseen []Learner
}

// Files are where Data are read from: CSV, plain or gzip, in UTF-8, with a first line that names the
// columns. Columns of other names are ignored. A user or course is a number or any other text; numbers are ordered as
// numbers, before texts. Of several rows of a user and course the earliest counts.
type Files struct {
	// Interactions have the columns user, course, ts (seconds since 1970, or RFC 3339) and
	// perhaps rating (0 to 5).
	Interactions io.Reader
	// Courses have the column course and any of title, categories (broad to narrow, "|" between them),
	// level, language and concepts ("|" between them). It may be nil.
	Courses io.Reader
	// Unseen are interactions of other learners, in the form of Interactions. It may be nil.
	Unseen io.Reader
}

// Open reads files by name; the names of courses and unseen may be empty. It returns the error of the
// file system, or of Read.
func Open(interactions, items, unseen string) (*Data, error) {
	var files Files
	for _, f := range []struct {
		name string
		to   *io.Reader
	}{{interactions, &files.Interactions}, {items, &files.Courses}, {unseen, &files.Unseen}} {
		if f.name == "" {
			continue
		}
		file, err := os.Open(f.name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		*f.to = file
	}
	return Read(files)
}

// Read reads Data. It returns core.ErrInvalid naming the line and column that it could not read.
func Read(files Files) (*Data, error) {
	rows, err := readInteractions(files.Interactions)
	if err != nil {
		return nil, fmt.Errorf("interactions: %w", err)
	}
	var unseen []interactionRow
	if files.Unseen != nil {
		if unseen, err = readInteractions(files.Unseen); err != nil {
			return nil, fmt.Errorf("unseen: %w", err)
		}
	}
	var described []describedItem
	if files.Courses != nil {
		if described, err = readItems(files.Courses); err != nil {
			return nil, fmt.Errorf("courses: %w", err)
		}
	}
	names := map[string]courses.CourseID{}
	for _, r := range slices.Concat(rows, unseen) {
		names[r.course] = 0
	}
	for _, d := range described {
		names[d.name] = 0
	}
	enumerate(names)
	data := &Data{Items: make([]recommend.Item, len(names)), Learners: learners(rows, names, 0)}
	if files.Unseen != nil {
		data.Unseen = learners(unseen, names, core.UserID(len(data.Learners)))
	}
	for i := range data.Items {
		data.Items[i].ID = courses.CourseID(i + 1)
	}
	for _, d := range described {
		d.item.ID = names[d.name]
		data.Items[d.item.ID-1] = d.item
	}
	return data, nil
}

type interactionRow struct {
	user, course string
	at           int64
	rating       float64
}

type describedItem struct {
	name string
	item recommend.Item
}

// enumerate gives the keys of m numbers from 1 in their order.
func enumerate[ID ~int64](m map[string]ID) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareNames)
	for i, k := range keys {
		m[k] = ID(i + 1)
	}
}

// compareNames orders numbers by value, then texts.
func compareNames(a, b string) int {
	x, xErr := strconv.ParseInt(a, 10, 64)
	y, yErr := strconv.ParseInt(b, 10, 64)
	switch {
	case xErr == nil && yErr == nil:
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
	case xErr == nil:
		return -1
	case yErr == nil:
		return 1
	}
	return cmp.Compare(a, b)
}

// learners returns the histories that rows tell, numbered from after on.
func learners(rows []interactionRow, names map[string]courses.CourseID, after core.UserID) []Learner {
	users := map[string]core.UserID{}
	for _, r := range rows {
		users[r.user] = 0
	}
	enumerate(users)
	out := make([]Learner, len(users))
	for i := range out {
		out[i].User = after + core.UserID(i+1)
	}
	for _, r := range rows {
		l := &out[users[r.user]-1]
		l.Entries = append(l.Entries, Entry{names[r.course], time.Unix(r.at, 0).UTC(), r.rating})
	}
	for i := range out {
		out[i].Entries = once(out[i].Entries)
	}
	return out
}

// once returns the earliest entry of each course, by time and then by course.
func once(entries []Entry) []Entry {
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Course, b.Course))
	})
	seen := make(map[courses.CourseID]bool, len(entries))
	return slices.DeleteFunc(entries, func(e Entry) bool {
		again := seen[e.Course]
		seen[e.Course] = true
		return again
	})
}

// table reads CSV with named columns.
type table struct {
	csv     *csv.Reader
	columns map[string]int
	fields  []string
	rows    int
}

func newTable(r io.Reader, required ...string) (*table, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	r = buffered
	if magic, _ := buffered.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, core.ErrInvalid.Withf("the file is damaged gzip").Because(err)
		}
		r = unzipped
	}
	t := &table{csv: csv.NewReader(r), columns: map[string]int{}}
	t.csv.ReuseRecord, t.csv.LazyQuotes = true, true
	header, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, core.Invalid("header", "required", strings.Join(required, ","), "", "the file is empty: its first line names the columns")
	}
	if err != nil {
		return nil, core.ErrInvalid.Withf("the first line cannot be read").Because(err)
	}
	for i, name := range header {
		t.columns[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))] = i
	}
	for _, name := range required {
		if _, ok := t.columns[name]; !ok {
			return nil, core.Invalid("header", "required", strings.Join(required, ","), strings.Join(header, ","), "there is no column "+name)
		}
	}
	return t, nil
}

// next reads a row, and returns io.EOF after the last.
func (t *table) next() error {
	var err error
	t.fields, err = t.csv.Read()
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	if err != nil {
		return core.ErrInvalid.Withf("a row cannot be read").Because(err)
	}
	if t.rows++; t.rows > MaxRows {
		return core.Invalid("rows", "max", strconv.Itoa(MaxRows), strconv.Itoa(t.rows), "the file has too many rows")
	}
	return nil
}

func (t *table) text(column string) string {
	if i, ok := t.columns[column]; ok {
		return strings.TrimSpace(t.fields[i])
	}
	return ""
}

// refuse returns the error of a field of the present row.
func (t *table) refuse(column, code, limit, message string) error {
	line, _ := t.csv.FieldPos(0)
	return core.Invalid(column, code, limit, t.text(column), fmt.Sprintf("line %d: %s %s", line, column, message))
}

func readInteractions(r io.Reader) ([]interactionRow, error) {
	t, err := newTable(r, "user", "course", "ts")
	if err != nil {
		return nil, err
	}
	var rows []interactionRow
	text := map[string]string{} // one copy of each name
	keep := func(s string) string {
		if kept, ok := text[s]; ok {
			return kept
		}
		s = strings.Clone(s)
		text[s] = s
		return s
	}
	for {
		if err := t.next(); errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return nil, err
		}
		row := interactionRow{user: keep(t.text("user")), course: keep(t.text("course"))}
		for _, column := range []string{"user", "course"} {
			if t.text(column) == "" {
				return nil, t.refuse(column, "required", "", "is missing")
			}
		}
		if row.at, err = parseTime(t.text("ts")); err != nil {
			return nil, t.refuse("ts", "time", "1970 to 2105", "must be seconds since 1970 or RFC 3339, from 1970 to 2105")
		}
		if text := t.text("rating"); text != "" {
			row.rating, err = strconv.ParseFloat(text, 64)
			if err != nil || !(row.rating >= 0 && row.rating <= 5) {
				return nil, t.refuse("rating", "range", "0 to 5", "must be a number from 0 to 5")
			}
		}
		rows = append(rows, row)
	}
}

var errTime = errors.New("no time")

func parseTime(text string) (int64, error) {
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		if seconds, floatErr := strconv.ParseFloat(text, 64); floatErr == nil && seconds >= 0 && seconds < math.MaxUint32 {
			at, err = int64(seconds), nil
		} else if parsed, timeErr := time.Parse(time.RFC3339Nano, text); timeErr == nil {
			at, err = parsed.Unix(), nil
		}
	}
	if err != nil || at < 0 || at > math.MaxUint32 {
		return 0, errTime
	}
	return at, nil
}

func readItems(r io.Reader) ([]describedItem, error) {
	t, err := newTable(r, "course")
	if err != nil {
		return nil, err
	}
	var out []describedItem
	for {
		if err := t.next(); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		if t.text("course") == "" {
			return nil, t.refuse("course", "required", "", "is missing")
		}
		out = append(out, describedItem{strings.Clone(t.text("course")), recommend.Item{
			Title:      strings.Clone(t.text("title")),
			Categories: list(t.text("categories")), Concepts: list(t.text("concepts")),
			Level: strings.Clone(t.text("level")), Language: strings.Clone(t.text("language")),
		}})
	}
}

func list(text string) []string {
	var out []string
	for _, part := range strings.Split(text, "|") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, strings.Clone(part))
		}
	}
	return out
}
