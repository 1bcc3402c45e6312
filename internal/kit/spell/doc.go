// Package spell tells when something that is judged again and again began and
// ended: at once when it is seen, and after some calm.
//
// In: one judgement a step, with the step's length. Out: whether the spell
// runs, and since when. No clock, no I/O, constant memory; fed the same, it
// says the same. Not safe for concurrent use.
package spell
