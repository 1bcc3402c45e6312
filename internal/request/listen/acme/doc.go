// Package acme gets certificates for configured names from a certificate
// authority (ACME, RFC 8555), renews them, and says which one each name is served
// with. It is the only owner of certmagic and of what belongs to it.
//
// # What flows in and out
//
// In: names, the authority's directory, the addresses that listen has bound, and
// the folders of certmagic and of certbot. Out: a certificate for each name
// (Certificate), and answers to the authority's questions (Answer for HTTP-01,
// Proof for TLS-ALPN-01, RFC 8737), which listen gives before its door is asked.
//
// # Which certificate a name gets
//
// The first of: our own while it is valid, one in certbot's folder that is valid,
// either of them after its end, and a stand-in that we sign ourselves. The
// authority is not asked for a name while certbot goes on renewing a certificate
// for it: only once that has less than a quarter of its life left, or less than
// 30 days where that is fewer.
//
// # Before the authority is asked
//
// The name must have an address, and no CAA record (RFC 8659) may exclude the
// authority. What looks wrong and may be right (addresses of another machine,
// ports that are forwarded) is a warning. For a name's first certificate, and after
// a failure, the staging directory is asked first: its limits are wide, and a
// certificate of its that was got is thrown away. Each failure is one line in the
// log saying what happened, what it means and what to do; the next try comes after
// a minute, then less and less often, at least every six hours.
//
// # Ownership, concurrency, failing
//
// A Keeper owns its goroutines, from Start to Close, and certmagic's with them:
// Close returns when nobody asks the authority any more. Certificate, Answer and
// Proof are called from all connections at once and never wait for the network;
// Certificate reads one map that is never changed. Where the storage is shared
// with other Seawalls, Answer and Proof may read one file of it, at most twenty
// times a second, for names that are configured.
//
// Whatever fails, what was served before goes on being served.
package acme
