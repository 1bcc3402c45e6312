package app

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"seawall/internal/defense"
	"seawall/internal/mitigation"
	"seawall/internal/packet/filter"
	"seawall/internal/request/admit"
	"seawall/internal/traffic"
)

// metrics serves /metrics. The rooms keep their own counts; this reads them
// when it is asked, so that the hot paths know nothing of Prometheus.
func (p *program) metrics() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &gauges{p})
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

// gauges is a prometheus.Collector over the running program.
type gauges struct{ *program }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("seawall_"+name, help, labels, nil)
}

// Describe sends nothing, which makes the collector an unchecked one: its
// series depend on what has happened.
func (g *gauges) Describe(chan<- *prometheus.Desc) {}

// Collect reads the rooms.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	count := func(name, help string, n uint64) {
		out <- prometheus.MustNewConstMetric(desc(name, help), prometheus.CounterValue, float64(n))
	}
	gauge := func(name, help string, n float64) {
		out <- prometheus.MustNewConstMetric(desc(name, help), prometheus.GaugeValue, n)
	}

	door := g.door.admit.Stats()
	verdicts := desc("verdicts_total", "Visits by what the door said of them.", "action", "reason")
	for a, reasons := range door.Decisions {
		for r, n := range reasons {
			if n > 0 {
				out <- prometheus.MustNewConstMetric(verdicts, prometheus.CounterValue, float64(n),
					mitigation.Action(a).String(), mitigation.Reason(r).String())
			}
		}
	}
	g.watched(out, &door)
	count("challenges_answered_total", "Visits that came back with the cookie that they were asked to come back with.", door.Answered)
	count("clients_evicted_total", "Newcomers whose place in the table of clients went to a newer one.", door.Evicted)
	count("offences_lost_total", "Reports of repeat offenders for which the queue had no room.", door.LostOffences)
	gauge("banned_prefixes", "Prefixes that are banned now.", float64(door.Banned))
	gauge("allowed_prefixes", "Prefixes on the allow list.", float64(door.Allowed))

	conns := g.listen.Stats()
	gauge("connections", "Open connections.", float64(conns.Open))
	gauge("connections_parked", "Open connections of clients that are refused time and again, answered by one goroutine together.", float64(conns.Parked))
	count("connections_total", "Connections accepted.", conns.Accepted)
	count("tls_handshakes_total", "TLS handshakes made.", conns.Handshakes)
	count("tls_handshakes_failed_total", "TLS handshakes begun and not made: scanners, old clients, clear text, or too slow.", conns.HandshakesLost)
	ends := desc("tls_certificate_expiry_seconds", "Until the certificate for a name ends; below 0 since it has, 0 where there is none yet.", "name")
	for name, at := range g.listen.CertificateEnds() {
		left := 0.0
		if !at.IsZero() {
			left = time.Until(at).Seconds()
		}
		out <- prometheus.MustNewConstMetric(ends, prometheus.GaugeValue, left, name)
	}
	byKind(out, desc("tls_hellos_refused_total", "TLS handshakes refused before they cost much, by why.", "reason"), conns.HellosRefused)
	count("quic_retries_total", "First packets of HTTP/3 connections that were told to come again, to show that their address is true.", conns.Retries)
	count("connections_evicted_total", "Idle connections closed to make room.", conns.Evicted)
	count("connections_banned_total", "Open connections closed because the packet filter stops their client's packets.", conns.Banned)
	turned := desc("connections_refused_total", "Connections refused, by why.", "reason")
	for reason, n := range map[string]uint64{
		"all": conns.OverAll, "client": conns.OverClient, "network": conns.OverNetwork,
		"proxy-missing": conns.ProxyMissing, "proxy-malformed": conns.ProxyMalformed,
	} {
		out <- prometheus.MustNewConstMetric(turned, prometheus.CounterValue, float64(n), reason)
	}
	byKind(out, desc("malformed_total", "Requests that are not proper HTTP, by what was wrong.", "kind"), conns.Malformed)
	byKind(out, desc("timeouts_total", "Connections that took too long, by what for.", "kind"), conns.Timeouts)
	byKind(out, desc("http2_errors_total", "Connections of HTTP/2 closed over a fault.", "kind"), map[string]uint64{
		"odd": conns.Glitched, "broken": conns.ConnErrors - min(conns.Glitched, conns.ConnErrors),
	})
	count("panics_total", "Panics survived while serving a request.", conns.Panics)

	g.links(out, count, gauge)
	st := g.loop.Status()
	findings(out, &st)
	attack := 0.0
	if st.Attack != nil || len(st.PacketAttacks) > 0 {
		attack = 1
	}
	gauge("attack", "1 while an attack runs.", attack)
	off := 0.0
	if g.off.Load() {
		off = 1
	}
	gauge("off", "1 while everything is let through.", off)
	watching := 0.0
	if st.Mode == defense.Watch {
		watching = 1
	}
	gauge("watching", "1 in watch mode: nobody is stopped by the machine.", watching)
	gauge("mitigations", "Mitigations in force.", float64(st.Active))
	gauge("memory_ceiling_bytes", "Ceiling for resident memory.", float64(g.cfg.Load().Ceiling()))
	g.packets(out)
	if w := st.Window; w != nil {
		g.window(out, gauge, w)
	}
}

// watched sends what would have happened to visits that watch mode let in.
func (g *gauges) watched(out chan<- prometheus.Metric, door *admit.Stats) {
	d := desc("watched_total", "Visits let in by watch mode that otherwise would not have been, or would have been slowed.", "action", "reason")
	for a, reasons := range door.Would {
		for r, n := range reasons {
			action, reason := mitigation.Action(a), mitigation.Reason(r)
			// One is always there, so that a dashboard finds the series.
			if n > 0 || action == mitigation.Refuse && reason == mitigation.ReasonClientBudget {
				out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), action.String(), reason.String())
			}
		}
	}
}

// packets sends what became of packets, where they are filtered.
func (g *gauges) packets(out chan<- prometheus.Metric) {
	st, ok := g.packet.Stats()
	if !ok {
		return
	}
	filtered := desc("packet_filtered", "1 for each interface whose packets are filtered, and in which mode.", "interface", "mode")
	for name, how := range st.Interfaces {
		out <- prometheus.MustNewConstMetric(filtered, prometheus.GaugeValue, 1, name, string(how))
	}
	packets := desc("packets_total", "Packets by why they passed or were stopped.", "reason")
	bytes := desc("packet_bytes_total", "Their bytes.", "reason")
	dry := desc("packets_dry_run_total", "Packets that rungs on a dry run would have stopped.", "reason")
	for r := range filter.Reasons {
		if n := st.Done[r]; n.Packets > 0 {
			out <- prometheus.MustNewConstMetric(packets, prometheus.CounterValue, float64(n.Packets), r.String())
			out <- prometheus.MustNewConstMetric(bytes, prometheus.CounterValue, float64(n.Bytes), r.String())
		}
		if n := st.Dry[r].Packets; n > 0 {
			out <- prometheus.MustNewConstMetric(dry, prometheus.CounterValue, float64(n), r.String())
		}
	}
	blocked := desc("packet_blocked_prefixes", "Prefixes on the packet filter's block list, by who bans them.", "by")
	out <- prometheus.MustNewConstMetric(blocked, prometheus.GaugeValue, float64(st.People), "people")
	out <- prometheus.MustNewConstMetric(blocked, prometheus.GaugeValue, float64(st.Machine), "machine")
	out <- prometheus.MustNewConstMetric(desc("packet_orders_lost_total", "Bans for which the packet filter had no room; the door refuses them all the same."),
		prometheus.CounterValue, float64(st.Refused))
}

// window sends the last second's figures.
func (g *gauges) window(out chan<- prometheus.Metric, gauge func(string, string, float64), w *traffic.Window) {
	gauge("window_offered_per_second", "Requests that met the door in the last second.", w.Rate(w.Offered))
	gauge("window_clients", "Distinct client prefixes in the last second, estimated.", float64(w.Clients))
	felt := desc("window_served_ratio", "Share of requests served in the last second, by clearance.", "clearance")
	p99 := desc("window_p99_seconds", "Time to serve a request in the last second, by clearance.", "clearance")
	for c, f := range w.Felt {
		if f.Offered == 0 {
			continue
		}
		name := traffic.Clearance(c).String()
		out <- prometheus.MustNewConstMetric(felt, prometheus.GaugeValue, float64(f.Served)/float64(f.Offered), name)
		out <- prometheus.MustNewConstMetric(p99, prometheus.GaugeValue, f.P99.Seconds(), name)
	}
	gauge("origin_in_flight", "Requests at the origin.", float64(w.Origin.InFlight))
	gauge("origin_waiting", "Requests in line for the origin.", float64(w.Origin.Waiting))
	gauge("origin_limit", "Requests that may be at the origin at a time.", float64(w.Origin.Limit))
	gauge("origin_healthy", "Origins that pass their health checks.", float64(w.Origin.Healthy))
	gauge("origin_p95_seconds", "Time to the origin's first byte in the last second.", w.Origin.P95.Seconds())
}

func byKind(out chan<- prometheus.Metric, d *prometheus.Desc, n map[string]uint64) {
	for kind, c := range n {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(c), kind)
	}
}
