// Evaluates PromQL over series that are given: what an alert says of them.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/promqltest"
)

// question: series in the notation of Prometheus' own tests, an expression, and when to look.
type question struct {
	Series  []string
	Expr    string
	Minutes []int
}

func answer(q question) ([]bool, error) {
	loader, err := promqltest.NewLazyLoader("load 1m\n  "+strings.Join(q.Series, "\n  "), promqltest.LazyLoaderOpts{})
	if err != nil {
		return nil, err
	}
	defer loader.Close()
	held := make([]bool, 0, len(q.Minutes))
	for _, minute := range q.Minutes {
		at := time.Unix(0, 0).UTC().Add(time.Duration(minute) * time.Minute)
		loader.WithSamplesTill(at, func(e error) { err = e })
		if err != nil {
			return nil, err
		}
		query, err := loader.QueryEngine().NewInstantQuery(context.Background(), loader.Queryable(), nil, q.Expr, at)
		if err != nil {
			return nil, err
		}
		result := query.Exec(context.Background())
		vector, err := result.Vector()
		if err != nil {
			return nil, err
		}
		held = append(held, len(vector) > 0)
	}
	return held, nil
}

func main() {
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	answers := make([][]bool, 0, len(questions))
	for _, q := range questions {
		held, err := answer(q)
		if err != nil {
			fmt.Fprintln(os.Stderr, q.Expr, err)
			os.Exit(1)
		}
		answers = append(answers, held)
	}
	_ = json.NewEncoder(os.Stdout).Encode(answers)
}
