package attack

import "seawall/internal/traffic"

// blamed is how many clients and how many networks are told.
const blamed = 3

// Blame adds to Top the client prefixes and networks that did something most, with
// their shares of all who did.
func (f *Finding) Blame(l *traffic.Links, e traffic.LinkEvent) {
	for _, list := range [][]traffic.Heavy{l.Networks[e], l.Of[e]} {
		for _, h := range list[:min(len(list), blamed)] {
			sure := h.Count - min(h.Error, h.Count)
			if share := float64(sure) / float64(max(l.Did[e], 1)); share >= 0.01 {
				f.Top = append(f.Top, Contributor{Field: traffic.FieldClient, Key: h.Key, Share: share})
			}
		}
	}
}
