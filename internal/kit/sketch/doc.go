// Package sketch sums up streams that are too long to keep, in memory whose
// size is fixed when a sketch is made, whatever is put in:
//
//   - Numbers and Strings: the most frequent keys (Anderson and others, "A
//     High-Performance Algorithm for Identifying Frequent Items in Data Streams",
//     IMC 2017), with bounds on every count;
//   - Distinct: how many different keys there were (HyperLogLog: Flajolet and
//     others, AofA 2007; estimator: Ertl, arXiv:1702.01284), about 1.6 % off;
//   - Quantiles: of durations, at most 1.6 % off, from a log-linear histogram;
//   - Reservoir: an even sample (algorithm R: Vitter, ACM TOMS 11(1), 1985).
//
// In: keys, durations, items. Out: counts, estimates, samples. All can be
// merged, so that each core may keep its own, and reset without freeing
// anything. Adding allocates nothing. Keys that a stranger chooses are hashed
// with a secret Seed, so that nobody can aim at a bucket.
//
// Nothing here is safe for concurrent use: who shares a sketch locks it.
package sketch
