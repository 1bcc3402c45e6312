package site

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"time"
)

// The shapes of an RSS 2.0 document (https://www.rssboard.org/rss-specification).
type rss struct {
	XMLName xml.Name `xml:"rss"`
	Version string   `xml:"version,attr"`
	Atom    string   `xml:"xmlns:atom,attr"`
	Channel channel  `xml:"channel"`
}

type channel struct {
	Title       string   `xml:"title"`
	Link        string   `xml:"link"`
	Description string   `xml:"description"`
	Language    string   `xml:"language"`
	Built       string   `xml:"lastBuildDate"`
	TTL         int      `xml:"ttl"` // minutes
	Self        selfLink `xml:"atom:link"`
	Items       []item   `xml:"item"`
}

type selfLink struct {
	Href string `xml:"href,attr"`
	Rel  string `xml:"rel,attr"`
	Type string `xml:"type,attr"`
}

type item struct {
	Title       string `xml:"title"`
	Link        string `xml:"link"`
	Description string `xml:"description"`
	GUID        guid   `xml:"guid"`
	Published   string `xml:"pubDate"`
}

type guid struct {
	Permanent bool   `xml:"isPermaLink,attr"`
	ID        string `xml:",chardata"`
}

// newsFeed is the site's news as RSS; base is the site's address as the reader
// knows it, such as "http://127.0.0.1:8080".
func newsFeed(base string, news []article) ([]byte, error) {
	c := channel{
		Title:       name,
		Link:        base + "/",
		Description: slogan,
	}
	for _, a := range news {
		link := base + "/news/" + a.Slug
		c.Items = append(c.Items, item{
			Title: a.Title, Link: link, Description: a.Lead,
			GUID: guid{true, link}, Published: a.At.Format(time.RFC1123Z),
		})
	}
	return encode(base, "/feed.xml", c)
}

// donorFeed is the list of donations as RSS: the public name and the sum of
// each. Like the feed of the campaign that this demo remembers, it trusts what
// people typed into the box for their public name.
func donorFeed(base string, list []donor) ([]byte, error) {
	c := channel{
		Title:       name + ": donations",
		Link:        base + "/donors",
		Description: "The latest donations. Everybody here is made up.",
	}
	for _, d := range list {
		c.Items = append(c.Items, item{
			Title:       fmt.Sprintf("%s gave £%d", d.Public, d.Pounds),
			Link:        base + "/donors",
			Description: fmt.Sprintf("Thank you, %s.", d.Public),
			GUID:        guid{false, "donation-" + strconv.Itoa(d.ID)},
			Published:   d.At.Format(time.RFC1123Z),
		})
	}
	return encode(base, "/donors.xml", c)
}

func encode(base, path string, c channel) ([]byte, error) {
	c.Language, c.TTL = "en", 15
	c.Self = selfLink{base + path, "self", "application/rss+xml"}
	if len(c.Items) > 0 {
		c.Built = c.Items[0].Published
	}
	b, err := xml.MarshalIndent(rss{Version: "2.0", Atom: "http://www.w3.org/2005/Atom", Channel: c}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the feed %s: %w", path, err)
	}
	return append([]byte(xml.Header), b...), nil
}
