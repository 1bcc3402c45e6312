package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"seawall/internal/attack"
	"seawall/internal/defense"
	"seawall/internal/traffic"
)

// findings sends which vectors are found.
func findings(out chan<- prometheus.Metric, st *defense.Status) {
	now := map[attack.Vector]float64{}
	if st.Attack != nil {
		now[st.Attack.Now] = 1
	}
	if st.Crowd != nil {
		now[st.Crowd.Vector] = 1
	}
	for i := range st.PacketAttacks {
		now[st.PacketAttacks[i].Vector] = 1
	}
	for i := range st.Findings {
		now[st.Findings[i].Vector] = 1
	}
	found := desc("finding", "1 while a detector finds this.", "vector")
	for _, v := range attack.Vectors() {
		out <- prometheus.MustNewConstMetric(found, prometheus.GaugeValue, now[v], string(v))
	}
}

// links sends what became of connections, as far as detectors look at it.
func (g *gauges) links(out chan<- prometheus.Metric, count func(string, string, uint64), gauge func(string, string, float64)) {
	l := g.listen.Links()
	gauge("connections_limit", "Connections that may be open at a time.", float64(l.Most))
	count("connections_closed_total", "Connections that had a place and are closed.", l.Closed)
	count("connections_unused_total", "Connections closed without having asked for anything, those with a TLS handshake among them.", l.Unused+l.Handshakes.Unused)
	count("tls_hellos_total", "TLS handshakes begun: a ClientHello was read.", l.Handshakes.Begun)
	gauge("tls_hellos_waiting", "Strangers' handshakes that wait for their turn to be computed.", float64(l.Handshakes.Waiting))
	lagging := desc("connections_lagging", "Open connections that keep us waiting longer than the honest do, by what for; of HTTP/2, requests.", "kind")
	for w, n := range l.Lagging {
		out <- prometheus.MustNewConstMetric(lagging, prometheus.GaugeValue, float64(n), traffic.Wait(w).String())
	}
	odd := desc("protocol_abuse_total", "Connections of HTTP/2 and 3 closed for how they speak it, by how.", "kind")
	for o, n := range l.Odd {
		out <- prometheus.MustNewConstMetric(odd, prometheus.CounterValue, float64(n), traffic.Oddity(o).String())
	}
}
