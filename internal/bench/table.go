package bench

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Table writes the report as tables for people.
func (r Report) Table(w io.Writer) error {
	if _, err := io.WriteString(w, r.Text()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// Text is the report as tables for people.
func (r Report) Text() string {
	var b strings.Builder
	for _, s := range r.Results {
		fmt.Fprintf(&b, "\n%s: %s\n", s.Name, s.Title)
		if len(s.Rows) > 0 {
			t := [][]string{{"in front", "visitors served", "p50", "p99", "quiet p99", "newcomers served", "flood reached site", "cores", "memory"}}
			for _, w := range s.Rows {
				t = append(t, []string{
					w.Front, percent(w.Served), ms(w.P50), ms(w.P99), ms(w.QuietP99), known(w.Newcomers >= 0, percent(w.Newcomers)), percent(w.Reached),
					known(w.CPU > 0, fmt.Sprintf("%.2f", w.CPU)), known(w.RSS > 0, fmt.Sprintf("%.0f MiB", float64(w.RSS)/(1<<20))),
				})
			}
			columns(&b, t)
		}
		if len(s.Bars) > 0 {
			t := [][]string{{"promise", "asked", "measured", ""}}
			for _, p := range s.Bars {
				t = append(t, []string{p.Name, p.Asked, p.Measured, map[bool]string{true: "ok", false: "MISSED"}[p.Passed]})
			}
			columns(&b, t)
		}
		for _, n := range s.Notes {
			fmt.Fprintf(&b, "  %s\n", n)
		}
	}
	return b.String()
}

func ms(x float64) string { return fmt.Sprintf("%.0f ms", x) }

func known(is bool, text string) string {
	if is {
		return text
	}
	return "-"
}

// columns writes a table whose columns are as wide as they need to be.
func columns(b *strings.Builder, table [][]string) {
	wide := make([]int, len(table[0]))
	for _, row := range table {
		for i, cell := range row {
			wide[i] = max(wide[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range table {
		line := " "
		for i, cell := range row {
			line += " " + cell + strings.Repeat(" ", wide[i]-utf8.RuneCountInString(cell)) + " "
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}
