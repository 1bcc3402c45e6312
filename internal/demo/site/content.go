package site

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// article is one piece of news.
type article struct {
	Slug, Title, Lead string
	Body              []string
	Art               string // name of its picture in static/
	At                time.Time
}

// donor is one donation. Legal is what the law asks the campaign to keep and
// never to show; Public is what the donor chose to be called.
type donor struct {
	ID     int
	Legal  string
	Public string
	Pounds int
	At     time.Time
}

// articles returns the site's news, newest first, dated back from now.
func articles(now time.Time) []article {
	day := func(d int) time.Time { return now.AddDate(0, 0, -d).Truncate(time.Hour) }
	return []article{
		{
			Slug: "council-vote", Title: "The vote on the ferry is on Thursday", Art: "hall.svg", At: day(0),
			Lead: "Larkmere council decides this week whether the ferry keeps sailing after the winter.",
			Body: []string{
				"The motion to keep the ferry is the fourth item on the council's list. The public gallery opens at half past six, and there is room for a hundred and twenty people.",
				"If you cannot come, write to your councillor before Wednesday noon. Two sentences in your own words do more than a page of ours.",
				"We will post the result here within minutes, so this page may be busy on Thursday evening.",
			},
		},
		{
			Slug: "ten-thousand", Title: "Ten thousand names for the ferry", Art: "crowd.svg", At: day(2),
			Lead: "The petition passed ten thousand signatures on Sunday night.",
			Body: []string{
				"More than half of them came from people who cross at least once a week: to work, to school, to the clinic on the north shore.",
				"Thank you to everybody who stood at the landing stage with a clipboard in the rain.",
			},
		},
		{
			Slug: "what-it-costs", Title: "What the ferry really costs", Art: "boat.svg", At: day(5),
			Lead: "The figures in last month's paper leave out the road that would be needed instead.",
			Body: []string{
				"Running the ferry for a year costs about as much as resurfacing two miles of the shore road. Without the ferry that road carries six hundred more cars a day.",
				"Our sums, with every source, are on paper at the campaign shop, and we would like to be told where they are wrong.",
			},
		},
		{
			Slug: "poster-weekend", Title: "A weekend of posters", Art: "poster.svg", At: day(8),
			Lead: "Print one, put it in your window, and send us a picture of it.",
			Body: []string{
				"The poster tool makes a sheet that any printer can print. Type your own slogan; the best are the ones we did not think of.",
			},
		},
		{
			Slug: "winter-timetable", Title: "The winter timetable is out", Art: "clock.svg", At: day(12),
			Lead: "First boat at six, last boat at ten, and an extra crossing on market days.",
			Body: []string{
				"The timetable hangs at both landing stages. In fog the boat waits; ring the harbour office before you set out.",
			},
		},
		{
			Slug: "why-we-began", Title: "Why we began", Art: "lake.svg", At: day(30),
			Lead: "Forty people in a cold boathouse, one kettle, and a question.",
			Body: []string{
				"Would anybody notice if the ferry stopped? We made a list of who crosses, and why. It filled eleven pages.",
				"This campaign belongs to no party. It ends on the day the ferry is safe.",
			},
		},
	}
}

// The words that donors are made of. Nobody is called like this.
var (
	colours = [...]string{"Amber", "Azure", "Cobalt", "Coral", "Crimson", "Indigo", "Ochre", "Olive", "Russet", "Saffron", "Scarlet", "Teal"}
	birds   = [...]string{"Bittern", "Coot", "Cormorant", "Curlew", "Dunlin", "Gadwall", "Grebe", "Kingfisher", "Moorhen", "Plover", "Sandpiper", "Teal-Duck"}
	sums    = [...]int{3, 5, 5, 10, 10, 10, 15, 20, 25, 50, 100}
)

// donors makes up n donations, newest first, the same for the same seed. About
// one in twelve donors typed the whole name where only a first name was asked
// for, as people do; a site that shows such fields as they are gives names away.
func donors(n int, seed uint64, now time.Time) []donor {
	r := rand.New(rand.NewPCG(seed, 0))
	list := make([]donor, n)
	at := now
	for i := range list {
		first, last := colours[r.IntN(len(colours))], birds[r.IntN(len(birds))]
		legal := fmt.Sprintf("%s %s-%03d", first, last, r.IntN(1000))
		public := first
		if r.IntN(12) == 0 {
			public = legal
		}
		at = at.Add(-time.Duration(5+r.IntN(90)) * time.Minute)
		list[i] = donor{ID: n - i, Legal: legal, Public: public, Pounds: sums[r.IntN(len(sums))], At: at}
	}
	return list
}
