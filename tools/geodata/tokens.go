package main

// tokens finds the runs of letters that names are best shortened with: byte
// pair encoding (Gage, "A New Algorithm for Data Compression", 1994), which
// joins the most frequent pair of neighbours again and again.
func tokens(names []string, most int) []string {
	texts := make([][]uint16, len(names))
	for i, name := range names {
		for _, c := range []byte(name) {
			texts[i] = append(texts[i], uint16(c))
		}
	}
	var out []string
	spell := func(symbol uint16) string {
		if symbol < 256 {
			return string([]byte{byte(symbol)})
		}
		return out[symbol-256]
	}
	for len(out) < most {
		counts := map[[2]uint16]int{}
		for _, text := range texts {
			for i := 1; i < len(text); i++ {
				counts[[2]uint16{text[i-1], text[i]}]++
			}
		}
		var best [2]uint16
		for p, n := range counts {
			// Ties go to the smaller pair, so that every run finds the same.
			if m := counts[best]; n > m || n == m && (p[0] < best[0] || p[0] == best[0] && p[1] < best[1]) {
				best = p
			}
		}
		if counts[best] < 2 {
			break
		}
		joined := uint16(256 + len(out))
		out = append(out, spell(best[0])+spell(best[1]))
		for t, text := range texts {
			to := text[:0]
			for i := 0; i < len(text); i++ {
				if i+1 < len(text) && text[i] == best[0] && text[i+1] == best[1] {
					to = append(to, joined)
					i++
				} else {
					to = append(to, text[i])
				}
			}
			texts[t] = to
		}
	}
	return out
}
