package accesslog

import "time"

// times reads the forms in which logs write times. Lines come in the order of time, so
// the last one's second is kept.
type times struct {
	text string // as it was written, up to the second
	last time.Time
}

// parse reads one of 10/Oct/2023:08:32:31 +0000, 2023-10-10T08:32:31(.123456)(Z|+00:00),
// 2023-10-10 08:32:31, and seconds, milli-, micro- or nanoseconds since 1970.
func (t *times) parse(s string) (time.Time, bool) {
	if n := len(s); n >= 2 && s[0] == '[' && s[n-1] == ']' {
		s = s[1 : n-1]
	}
	switch {
	case len(s) >= 20 && s[2] == '/':
		return t.common(s)
	case len(s) >= 19 && s[4] == '-':
		return t.iso(s)
	}
	return since1970(s)
}

// common reads Apache's form.
func (t *times) common(s string) (time.Time, bool) {
	if len(s) > len(t.text) || s != t.text {
		at, err := time.Parse("02/Jan/2006:15:04:05 -0700", s)
		if err != nil {
			if at, err = time.Parse("02/Jan/2006:15:04:05", s); err != nil {
				return time.Time{}, false
			}
		}
		t.text, t.last = string([]byte(s)), at.UTC()
	}
	return t.last, true
}

// iso reads that of ISO 8601, with a T or a space, a fraction and a zone or none.
func (t *times) iso(s string) (time.Time, bool) {
	var n [6]int
	for i, at := range [...][2]int{{0, 4}, {5, 7}, {8, 10}, {11, 13}, {14, 16}, {17, 19}} {
		v, ok := digits(s[at[0]:at[1]])
		if !ok {
			return time.Time{}, false
		}
		n[i] = v
	}
	if s[7] != '-' || s[10] != 'T' && s[10] != ' ' || s[13] != ':' || s[16] != ':' ||
		n[1] < 1 || n[1] > 12 || n[2] < 1 || n[2] > 31 || n[3] > 23 || n[4] > 59 || n[5] > 60 {
		return time.Time{}, false
	}
	rest, nanos := s[19:], 0
	if rest != "" && (rest[0] == '.' || rest[0] == ',') {
		k := 1
		for scale := 100_000_000; k < len(rest) && rest[k] >= '0' && rest[k] <= '9'; k++ {
			nanos += int(rest[k]-'0') * scale
			scale /= 10
		}
		rest = rest[k:]
	}
	at := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], nanos, time.UTC)
	switch {
	case rest == "", rest == "Z", rest == "z":
		return at, true
	case len(rest) >= 5 && (rest[0] == '+' || rest[0] == '-'):
		h, ok := digits(rest[1:3])
		m, ok2 := digits(rest[len(rest)-2:])
		if !ok || !ok2 || len(rest) > 6 {
			return time.Time{}, false
		}
		off := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
		if rest[0] == '+' {
			off = -off
		}
		return at.Add(off), true
	}
	return time.Time{}, false
}

// since1970 tells by the number's size which unit it is in.
func since1970(s string) (time.Time, bool) {
	whole, frac, scale := int64(0), int64(0), int64(1e9)
	point := false
	if s == "" || len(s) > 30 {
		return time.Time{}, false
	}
	for _, c := range []byte(s) {
		switch {
		case c == '.' && !point:
			point = true
		case c < '0' || c > '9' || whole > 1<<59:
			return time.Time{}, false
		case !point:
			whole = whole*10 + int64(c-'0')
		case scale > 1:
			scale /= 10
			frac += int64(c-'0') * scale
		}
	}
	var at time.Time
	switch {
	case whole < 1e11: // seconds until the year 5138
		at = time.Unix(whole, frac)
	case whole < 1e14:
		at = time.UnixMilli(whole).Add(time.Duration(frac / 1e3))
	case whole < 1e17:
		at = time.UnixMicro(whole)
	default:
		at = time.Unix(0, whole)
	}
	return at.UTC(), true
}

func digits(s string) (n int, ok bool) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, len(s) > 0
}
