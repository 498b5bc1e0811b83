package evaluate_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/courses"
	"github.com/ustat/ustat/recommend"
	"github.com/ustat/ustat/recommend/evaluate"
	"github.com/ustat/ustat/recommend/internal/made"
)

// oracle recommends what it was told, whoever asks: a strategy whose figures can be computed by hand.
type oracle struct {
	list []courses.CourseID
	seen *[]recommend.Request
	told *[]recommend.Interaction
}

func (oracle) Name() string { return "oracle" }

func (o oracle) Train(ctx context.Context, src recommend.Source, _ func(recommend.Progress)) (recommend.Model, error) {
	for in, err := range src.Interactions(ctx) {
		if err != nil {
			return nil, err
		}
		*o.told = append(*o.told, in)
	}
	return o, nil
}

func (o oracle) Recommend(_ context.Context, r recommend.Request) ([]recommend.Scored, error) {
	*o.seen = append(*o.seen, r)
	var out []recommend.Scored
	for _, id := range o.list {
		out = append(out, recommend.Scored{Course: id})
	}
	return out, nil
}

func ask(list ...courses.CourseID) oracle {
	return oracle{list, new([]recommend.Request), new([]recommend.Interaction)}
}

// learners: a took 1 2 3, b took 4 5 6 (written out of order, 5 twice), c took 1 2 only.
const csv = "course,user,ts,extra\n1,a,10,x\n2,a,20,x\n3,a,30,x\n6,b,300,\n4,b,100,\n5,b,200,\n5,b,900,\n1,c,1,\n2,c,2,\n"

func read(t *testing.T, text string) *evaluate.Data {
	t.Helper()
	data, err := evaluate.Read(evaluate.Files{Interactions: strings.NewReader(text), Courses: strings.NewReader("course,title\n7,seven\n")})
	require.NoError(t, err)
	return data
}

func TestFiguresAreThoseOfTheirDefinition(t *testing.T) {
	t.Parallel()
	o := ask(7, 6, 3) // 6 is second, 3 third
	report, err := evaluate.Run(t.Context(), read(t, csv), []recommend.Strategy{o, o}, nil)
	require.NoError(t, err)
	r := report.Results[0]
	require.Equal(t, 2, r.Users, "c has less than three courses")
	require.InDelta(t, (0.630930+0.5)/2, r.NDCG, 1e-5)
	require.InDelta(t, (1.0/2+1.0/3)/2, r.MRR, 1e-9)
	require.InDelta(t, 1, r.Recall, 0)
	require.InDelta(t, 3.0/7, r.Coverage, 1e-9)
	require.InDelta(t, 0.0654648, r.NDCGError, 1e-5)
	require.InDelta(t, 2, r.Novelty, 1e-9, "-log2((0+1)/(3+1)): nobody is trained to have taken 3, 6 or 7")
	require.Equal(t, []evaluate.Difference{{Strategy: "oracle", Against: "oracle"}}, report.Differences)
	require.Len(t, *o.told, 2*6, "a and b without the newest, c whole; once for each strategy")
}

func TestSplitsHoldBackWhatTheySay(t *testing.T) {
	t.Parallel()
	histories := func(split evaluate.Split, data *evaluate.Data) (told int, asked []recommend.Request) {
		o := ask()
		_, err := evaluate.Run(t.Context(), data, []recommend.Strategy{o}, &evaluate.Options{Split: split, Seed: 3})
		require.NoError(t, err)
		return len(*o.told), *o.seen
	}
	told, asked := histories(evaluate.NewestOnly, read(t, csv))
	require.Equal(t, 6, told)
	require.Len(t, asked[0].History, 1)
	require.Equal(t, courses.CourseID(2), asked[0].History[0].Course)
	require.Equal(t, []courses.CourseID{1}, asked[0].Exclude)

	// Eight courses at 1 … 300: nine tenths of them were before 300.
	told, asked = histories(evaluate.Temporal, read(t, csv))
	require.Equal(t, 7, told)
	require.Len(t, asked, 1)
	require.Equal(t, time.Unix(300, 0).UTC(), asked[0].At)

	data, err := evaluate.Read(evaluate.Files{Interactions: strings.NewReader(csv), Unseen: strings.NewReader("user,course,ts\na,1,1\na,2,2\na,8,3\n")})
	require.NoError(t, err)
	told, asked = histories("", data)
	require.Equal(t, 8, told, "all are trained on whole")
	require.Len(t, asked, 1)

	many := read(t, manyLearners(t))
	told, asked = histories(evaluate.Unseen, many)
	require.InDelta(t, 40, len(asked), 20, "about a fifth of 200")
	for _, r := range asked {
		require.NotEmpty(t, r.History)
	}
	require.Less(t, told, 200*4)
}

// manyLearners is CSV of made learners with three courses or more.
func manyLearners(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("user,course,ts\n")
	p := made.Platform{Seed: 5, Courses: 100, Learners: 200, Mean: 5}
	for user := 1; user <= p.Learners; user++ {
		for _, in := range p.History(user) {
			b.WriteString(strconv.Itoa(user) + "," + strconv.Itoa(int(in.Course)) + "," + strconv.FormatInt(in.At.Unix(), 10) + "\n")
		}
	}
	return b.String()
}

func TestFlatteringListsAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []oracle{ask(3, 3), ask(1)} {
		_, err := evaluate.Run(t.Context(), read(t, csv), []recommend.Strategy{o}, nil)
		require.ErrorContains(t, err, "twice, or was taken before")
	}
	_, err := evaluate.Run(t.Context(), read(t, csv), []recommend.Strategy{ask(7, 6)}, &evaluate.Options{K: 1})
	require.ErrorContains(t, err, "1 were asked for")
}

func TestFilesAreReadPlainAndPacked(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write([]byte("\ufeffUser,Course,TS,rating\nx,b,1970-01-01T00:00:05Z,4\nx,10,7.9,\nx,9,0,\n"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	data, err := evaluate.Read(evaluate.Files{Interactions: &packed, Courses: strings.NewReader("course,categories,concepts,level\n10,a| b|,,hard\n")})
	require.NoError(t, err)
	require.Equal(t, []evaluate.Entry{
		{Course: 1, At: time.Unix(0, 0).UTC()}, {Course: 3, At: time.Unix(5, 0).UTC(), Rating: 4}, {Course: 2, At: time.Unix(7, 0).UTC()},
	}, data.Learners[0].Entries, "9 comes before 10, and both before b")
	require.Equal(t, recommend.Item{ID: 2, Categories: []string{"a", "b"}, Level: "hard"}, data.Items[1])
}

func TestBadFilesAreRefusedByLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                   "empty",
		"user,course\n":                      "no column ts",
		"user,course,ts\n1,2,yesterday\n":    "line 2: ts",
		"user,course,ts\n1,2,3\n1,,3\n":      "line 3: course",
		"user,course,ts\n1,2,3\n1,2\n":       "cannot be read",
		"user,course,ts,rating\n1,2,3,6\n":   "line 2: rating",
		"user,course,ts,rating\n1,2,3,NaN\n": "line 2: rating",
		"user,course,ts\n1,2,99999999999\n":  "line 2: ts",
		"\x1f\x8b, no gzip":                  "gzip",
	} {
		_, err := evaluate.Read(evaluate.Files{Interactions: strings.NewReader(text)})
		require.ErrorIs(t, err, core.ErrInvalid, "%q", text)
		require.ErrorContains(t, err, want)
	}
	for _, o := range []evaluate.Options{{K: -1}, {K: 5000}, {Split: "odd"}} {
		_, err := evaluate.Run(t.Context(), read(t, csv), nil, &o)
		require.ErrorIs(t, err, core.ErrInvalid)
	}
}

// TestQuality holds the order of the strategies on made learners, and the goals on real ones where
// USTAT_TEST_DATA has them and USTAT_TEST_SCALE asks for it.
func TestQuality(t *testing.T) {
	t.Parallel()
	strategies := []recommend.Strategy{recommend.NewHybrid(nil), recommend.NewItemKNN(nil), recommend.NewPopularity(nil)}
	var b strings.Builder
	b.WriteString("user,course,ts\n")
	p := made.Platform{Seed: 5, Courses: 400, Learners: 1500, Mean: 6}
	for user := 1; user <= p.Learners; user++ {
		for _, in := range p.History(user) {
			b.WriteString(strconv.Itoa(user) + "," + strconv.Itoa(int(in.Course)) + "," + strconv.FormatInt(in.At.Unix(), 10) + "\n")
		}
	}
	report, err := evaluate.Run(t.Context(), read(t, b.String()), strategies, nil)
	require.NoError(t, err)
	for _, d := range report.Differences {
		t.Logf("%s less %s: %+.4f ± %.4f", d.Strategy, d.Against, d.NDCG, d.StdErr)
		require.Greater(t, d.NDCG, 2*d.StdErr)
	}

	dir, scale := os.Getenv("USTAT_TEST_DATA"), os.Getenv("USTAT_TEST_SCALE")
	if dir == "" || scale == "" {
		return
	}
	data, err := evaluate.Open(filepath.Join(dir, "coco", "interactions.csv.gz"), filepath.Join(dir, "coco", "courses.csv.gz"), "")
	require.NoError(t, err)
	for split, least := range map[evaluate.Split]float64{
		evaluate.LeaveLastOut: 0.088, evaluate.Unseen: 0.095, evaluate.NewestOnly: 0.073, evaluate.Temporal: 0.055,
	} {
		report, err := evaluate.Run(t.Context(), data, strategies[:1], &evaluate.Options{Split: split, Seed: 1})
		require.NoError(t, err)
		r := report.Results[0]
		t.Logf("%s: NDCG@10 %.4f ± %.4f, coverage %.3f", split, r.NDCG, r.NDCGError, r.Coverage)
		require.GreaterOrEqual(t, r.NDCG, least, split)
		if split == evaluate.LeaveLastOut {
			require.GreaterOrEqual(t, r.Coverage, 0.70)
		}
	}
}
