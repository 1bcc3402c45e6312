// Package baseline learns what is normal at this site, at this hour.
//
// In: Learn, one traffic.Window a second with whether an attack runs. Out:
// Normal, an immutable traffic.Normal, replaced after every window.
//
// Rates are of requests let in, and robust: the median and the 95th percentile
// of the last hour's windows (the last 3,600 in which anybody came; empty ones
// teach nothing), raised to what the last day's minutes and the same hour of
// earlier weeks (UTC) showed. Where more than a tenth of a window's requests
// was refused, only what was let in is learnt from it. Before anything is
// known, Config's floors hold, and shares, times and PerClient are 0: unknown.
//
// Nothing is learnt while an attack runs, nor from the seconds before it was
// found: windows wait in line for Config.Delay, and the line is thrown away
// when an attack begins. A young baseline waits only a quarter of its age, at
// least 3 s, so that ten quiet seconds are worth something.
//
// Normal.Ordinary is a sample of what was let in, even over time at first;
// later half of it is from the last hour. No second can put in more than three
// times its usual share. After an hour a sample's address is cut to its wide
// prefix (/24, /48), and its query and clearance number are removed.
//
// Normal.OrdinaryDay and OrdinaryWeek are samples of 2,000 each that are spread evenly
// over the last 24 hours, and 7 days, of what was learnt from, however busy each part of
// them was. Everything that leads to a person or to a moment is removed as soon as they
// are taken. They go by wall time, and are published once a minute, or every ten once
// two hours are learnt.
//
// Learnt sums up for people what is known of the last hour, day and week, and of each
// hour of the week. Normal's hour of the week goes by the clock, during attacks too.
//
// Of packets, where there is a filter, it learns how many of each kind come in
// a second (the median and the 95th percentile of the last hour), whatever
// became of them; where more than a tenth of a window was stopped, only how many
// were let through. Normal.Packets.Ordinary is a rolling sample of 2,000 that
// were let through, Openings one of 1,000 that ask for a connection; sources are
// cut to /24 and /48 as soon as they are taken, payloads of TCP to 16 bytes.
//
// Of connections, where somebody counts them, it learns how many are opened, left
// unused and closed for abuse in a second, how many handshakes are begun and not
// made, and how many connections keep us waiting at a time: the same way, and only
// from windows in which hardly any was turned away.
//
// MarshalBinary and UnmarshalBinary keep what was learnt across a restart:
// rates, times and shares of keys that are common; never addresses, never
// samples. At most 1 MiB. MarshalSamples and UnmarshalSamples keep the samples of the
// day and the week, with prefixes (/24, /48) in place of addresses, and no path that fewer
// than three networks asked for; at most 1.7 MB. A file that is damaged is refused whole.
//
// Units: requests a second, durations, shares 0 to 1. All methods
// belong to one goroutine, but Normal, which may be called by any. There
// is no clock here: time is what windows say, so that a recording replays
// exactly. Memory is bounded by Config.Samples times 900 bytes, three times
// over at worst (kept, waiting in line, and held by readers), and by 1.2 KiB for what
// is counted of them; 6 MiB for the samples of day and week with what readers hold of
// them, and 2 MiB.
package baseline
