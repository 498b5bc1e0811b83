package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"github.com/ustat/ustat/core"
	"github.com/ustat/ustat/recommend"
	"github.com/ustat/ustat/recommend/evaluate"
)

type recommendCmd struct {
	Eval evalCmd `cmd:"" help:"Measure strategies on histories of learners, without a database."`
}

type evalCmd struct {
	Interactions string   `required:"" help:"CSV, plain or gzip: user,course,ts and perhaps rating."`
	Courses      string   `help:"CSV, plain or gzip: course,title,categories,level,language,concepts; missing columns are allowed."`
	Strategy     []string `help:"A strategy to measure, again for each one: ${strategies}. Without it, all. The first is compared with each other one."`
	Split        string   `default:"leave-last-out" enum:"leave-last-out,temporal,newest-only,unseen" help:"What is held back: leave-last-out, temporal, newest-only, unseen (every fifth learner)."`
	Unseen       string   `help:"Interactions of other learners, who are tested and not trained on."`
	K            int      `name:"k" default:"10" help:"The length of the lists."`
	Seed         uint64   `default:"1" help:"Of the learners that --split unseen holds back."`
	JSON         bool     `name:"json" help:"Print JSON."`
}

// strategies are those that can be measured, the default first.
var strategies = []recommend.Strategy{
	recommend.NewHybrid(nil),
	recommend.NewItemKNN(nil),
	recommend.NewCategoryAffinity(nil),
	recommend.NewPopularity(nil),
	recommend.NewPopularity(&recommend.PopularityOptions{Recent: true}),
}

func strategyNames() []string {
	names := make([]string, len(strategies))
	for i, s := range strategies {
		names[i] = s.Name()
	}
	return names
}

// chosen returns the strategies of --strategy.
func (c *evalCmd) chosen() ([]recommend.Strategy, error) {
	if len(c.Strategy) == 0 {
		return strategies, nil
	}
	var out []recommend.Strategy
next:
	for _, name := range c.Strategy {
		for _, s := range strategies {
			if s.Name() == name {
				out = append(out, s)
				continue next
			}
		}
		return nil, usageError{fmt.Errorf("--strategy: %q is none of %v", name, strategyNames())}
	}
	return out, nil
}

// evalOutput is what --json prints.
type evalOutput struct {
	Data string `json:"data"`
	*evaluate.Report
}

// Run measures strategies. How far it is goes to standard error, the figures to
// standard output.
func (c *evalCmd) Run(ctx context.Context, p *program) error {
	chosen, err := c.chosen()
	if err != nil {
		return err
	}
	data, err := evaluate.Open(c.Interactions, c.Courses, c.Unseen)
	if errors.As(err, new(*fs.PathError)) || core.KindOf(err) == core.KindInvalid {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	last := time.Now()
	report, err := evaluate.Run(ctx, data, chosen, &evaluate.Options{
		Split: evaluate.Split(c.Split), K: c.K, Seed: c.Seed,
		Progress: func(strategy string, at recommend.Progress) {
			const every = 2 * time.Second
			if time.Since(last) >= every {
				last = time.Now()
				fmt.Fprintf(p.stderr, "%s: %s: %d of %d\n", strategy, at.Stage, at.Done, at.Total)
			}
		},
	})
	if core.KindOf(err) == core.KindInvalid {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(evalOutput{c.Interactions, report})
	}
	return printReport(p, report)
}

func printReport(p *program, report *evaluate.Report) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s, lists of %d\tndcg\t±\trecall\tmrr\tcoverage\tnovelty\tusers\tfit s\tp50 µs\tp99 µs\t\n", report.Split, report.K)
	for _, r := range report.Results {
		fmt.Fprintf(w, "%s\t%.4f\t%.4f\t%.4f\t%.4f\t%.3f\t%.2f\t%d\t%.1f\t%.0f\t%.0f\t\n",
			r.Strategy, r.NDCG, r.NDCGError, r.Recall, r.MRR, r.Coverage, r.Novelty, r.Users, r.FitSeconds, r.P50, r.P99)
	}
	for _, d := range report.Differences {
		fmt.Fprintf(w, "%s less %s\t%+.4f\t%.4f\t\n", d.Strategy, d.Against, d.NDCG, d.StdErr)
	}
	return w.Flush()
}
