package refuse

import "seawall/internal/mitigation"

// words is what people read about one reason. Whoever translates this file has
// translated everything.
type words struct {
	Title string // what happened
	Why   string // why, in a sentence or two
	// Device says that something behind the visitor's address may be misused.
	Device bool
}

// language is the language of the texts below, as Content-Language says it.
const language = "en"

// wordsFor tells a reason in plain words.
func wordsFor(r mitigation.Reason) words {
	switch r {
	case mitigation.ReasonBan:
		return words{
			Title:  "This address is not let in at the moment",
			Why:    "Too many requests that harm this site came from the network address that you share, so it is closed to that address for a time.",
			Device: true,
		}
	case mitigation.ReasonClientBudget:
		return words{
			Title:  "That was a little too fast",
			Why:    "More requests came from your network address than this site can answer for one visitor.",
			Device: true,
		}
	case mitigation.ReasonNeighbours:
		return words{
			Title:  "Your part of the network is busy",
			Why:    "Very many requests come from network addresses next to yours. You may well have made only a few of them.",
			Device: true,
		}
	case mitigation.ReasonMitigation:
		return words{
			Title: "This site is under attack",
			Why:   "Somebody is sending a flood of requests to take this site offline. Your request looked like those of the flood, so it was turned away. That can happen to ordinary visitors, and we are sorry.",
		}
	case mitigation.ReasonRule:
		return words{
			Title: "This site does not answer such requests",
			Why:   "Whoever runs it has decided not to let in requests of this kind. If yours is one that should be answered, tell them the code below.",
		}
	case mitigation.ReasonOriginFull:
		return words{
			Title: "This site is very busy",
			Why:   "More people want to see it than it can answer at once. You did nothing wrong.",
		}
	}
	return words{
		Title: "This request was not let in",
		Why:   "The site's protection turned it away.",
	}
}

// The sentences that all reasons share; %wait% stands for "12 seconds".
const (
	textPersonal = "This is not about you personally: we see a network address, not who you are."
	textDevice   = "Several people or devices often share one address. If this goes on, a computer, router, camera or telephone behind yours may have been hijacked without its owner knowing; restarting and updating them often helps."
	textAgain    = "Please try again in %wait%."
	textReload   = "Please try again in %wait%. This page does so by itself."
	textLater    = "Trying again at once will not help; a different connection may."
	textContact  = "If it does not get better, tell the site's keepers, with this code:"
	textNoOne    = "If you tell the site's keepers, give them this code:"
	textRef      = "Reference"
	textAsked    = "Your browser is asked to come back for this page with a cookie, which most do unseen. If you read this, please open the page again.\n"
)
