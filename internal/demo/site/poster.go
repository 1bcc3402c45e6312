package site

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"codeberg.org/go-pdf/fpdf"
)

// poster is what an activist typed into the poster tool.
type poster struct {
	Title, Slogan, Date, Place string
	Colour                     string // a key of palettes; anything else is "lake"
}

// Most that is taken of each field, in characters.
const (
	posterTitle  = 60
	posterSlogan = 160
	posterLine   = 60
)

type rgb struct{ r, g, b int }

type palette struct{ ground, light, ink rgb }

func paletteFor(colour string) palette {
	switch colour {
	case "sun":
		return palette{rgb{250, 204, 92}, rgb{253, 226, 160}, rgb{64, 38, 12}}
	case "rose":
		return palette{rgb{170, 44, 76}, rgb{196, 84, 110}, rgb{255, 246, 240}}
	}
	return palette{rgb{18, 70, 102}, rgb{34, 98, 136}, rgb{250, 248, 240}}
}

// render draws the poster: one A4 sheet, rays over the lake, the title as large
// as it fits, the slogan, and a box with the date and the place.
func (p poster) render() ([]byte, error) {
	doc := fpdf.New("P", "mm", "A4", "")
	doc.SetTitle(clip(p.Title, posterTitle), true)
	doc.SetCreator(name, true)
	doc.SetAutoPageBreak(false, 0)
	doc.AddPage()
	// The fonts that every PDF reader has know the Latin-1 characters only.
	latin := doc.UnicodeTranslatorFromDescriptor("")
	c := paletteFor(p.Colour)
	drawGround(doc, c)

	doc.SetTextColor(c.ink.r, c.ink.g, c.ink.b)
	title := latin(strings.ToUpper(orElse(clip(p.Title, posterTitle), "Save the ferry")))
	y := fit(doc, title, "B", 76, 24, 20, 34, 170, 110)

	text := latin(orElse(clip(p.Slogan, posterSlogan), "Ten minutes across the lake, an hour around it."))
	fit(doc, text, "", 30, 12, 20, y+8, 170, 60)

	doc.SetFillColor(c.ink.r, c.ink.g, c.ink.b)
	doc.Rect(20, 232, 170, 38, "F")
	doc.SetTextColor(c.ground.r, c.ground.g, c.ground.b)
	fit(doc, latin(orElse(clip(p.Date, posterLine), "Every day")), "B", 26, 10, 26, 236, 158, 14)
	fit(doc, latin(orElse(clip(p.Place, posterLine), "Larkmere landing stage")), "", 20, 9, 26, 252, 158, 12)

	doc.SetTextColor(c.ink.r, c.ink.g, c.ink.b)
	doc.SetFont("Helvetica", "", 9)
	doc.SetXY(20, 278)
	doc.CellFormat(170, 6, latin(name+" · printed by a neighbour"), "", 0, "C", false, 0, "")

	var out bytes.Buffer
	if err := doc.Output(&out); err != nil {
		return nil, fmt.Errorf("render the poster: %w", err)
	}
	return out.Bytes(), nil
}

// drawGround fills the sheet and draws rays and waves on it.
func drawGround(doc *fpdf.Fpdf, c palette) {
	const width, height = 210.0, 297.0
	doc.SetFillColor(c.ground.r, c.ground.g, c.ground.b)
	doc.Rect(0, 0, width, height, "F")
	doc.SetFillColor(c.light.r, c.light.g, c.light.b)
	const rays = 18
	for i := range rays {
		a, b := float64(2*i)*math.Pi/rays, float64(2*i+1)*math.Pi/rays
		doc.Polygon([]fpdf.PointType{
			{X: width / 2, Y: 215},
			{X: width/2 + 400*math.Cos(a), Y: 215 + 400*math.Sin(a)},
			{X: width/2 + 400*math.Cos(b), Y: 215 + 400*math.Sin(b)},
		}, "F")
	}
	doc.SetDrawColor(c.ink.r, c.ink.g, c.ink.b)
	doc.SetLineWidth(0.8)
	for row := range 3 {
		y := 216.0 + 4*float64(row)
		for x := 0.0; x < width; x += 14 {
			doc.Curve(x, y, x+3.5, y-3, x+7, y, "D")
			doc.Curve(x+7, y, x+10.5, y+3, x+14, y, "D")
		}
	}
}

// fit writes text into a box, in the largest size from most down to least
// points with which it fits, and returns where the text ends. What does not fit
// even in the smallest size is cut.
func fit(doc *fpdf.Fpdf, text, style string, most, least, x, y, w, h float64) float64 {
	const points = 0.3528 // millimetres in a point
	for size := most; ; size -= 2 {
		doc.SetFont("Helvetica", style, size)
		lines := doc.SplitLines([]byte(text), w)
		step := size * points * 1.15
		if total := step * float64(len(lines)); total > h && size-2 >= least || widest(doc, text) > w && size-2 >= least {
			continue
		}
		for _, line := range lines {
			if h < step*0.9 {
				break
			}
			doc.SetXY(x, y)
			doc.CellFormat(w, step, string(line), "", 0, "L", false, 0, "")
			y, h = y+step, h-step
		}
		return y
	}
}

// widest is the width of the longest word, which cannot be broken.
func widest(doc *fpdf.Fpdf, text string) float64 {
	most := 0.0
	for word := range strings.FieldsSeq(text) {
		most = max(most, doc.GetStringWidth(word))
	}
	return most + 2
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// clip trims s and cuts it to n characters, control characters left out.
func clip(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.TrimSpace(s))
	runes := []rune(s)
	if len(runes) > n {
		runes = runes[:n]
	}
	return string(runes)
}
