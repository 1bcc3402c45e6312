package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metrics reads /metrics.
func (w *wall) metrics() map[string]*dto.MetricFamily {
	w.t.Helper()
	resp, err := http.Get("http://" + w.admin + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	p := expfmt.NewTextParser(model.LegacyValidation)
	m, err := p.TextToMetricFamilies(resp.Body)
	if err != nil {
		w.t.Fatalf("/metrics: %v", err)
	}
	return m
}

// timeouts counts connections that were cut for a kind of slowness.
func (w *wall) timeouts(kind string) (n float64) {
	for _, m := range w.metrics()["seawall_timeouts_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetValue() == kind {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	w := start(t, nil, o.url)
	w.order("ban", "192.0.2.66")
	if _, err := w.dial().Write([]byte("nonsense\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	until(t, 5*time.Second, "a window with the request", func() bool {
		fetch(t, "GET", w.url("/"), "")
		return w.metrics()["seawall_window_served_ratio"] != nil
	})
	m := w.metrics()
	for name, kind := range map[string]dto.MetricType{
		"seawall_verdicts_total":            dto.MetricType_COUNTER,
		"seawall_connections":               dto.MetricType_GAUGE,
		"seawall_connections_total":         dto.MetricType_COUNTER,
		"seawall_connections_evicted_total": dto.MetricType_COUNTER,
		"seawall_connections_refused_total": dto.MetricType_COUNTER,
		"seawall_malformed_total":           dto.MetricType_COUNTER,
		"seawall_timeouts_total":            dto.MetricType_COUNTER,
		"seawall_panics_total":              dto.MetricType_COUNTER,
		"seawall_clients_evicted_total":     dto.MetricType_COUNTER,
		"seawall_offences_lost_total":       dto.MetricType_COUNTER,
		"seawall_banned_prefixes":           dto.MetricType_GAUGE,
		"seawall_allowed_prefixes":          dto.MetricType_GAUGE,
		"seawall_attack":                    dto.MetricType_GAUGE,
		"seawall_off":                       dto.MetricType_GAUGE,
		"seawall_mitigations":               dto.MetricType_GAUGE,
		"seawall_memory_ceiling_bytes":      dto.MetricType_GAUGE,
		"seawall_window_offered_per_second": dto.MetricType_GAUGE,
		"seawall_window_clients":            dto.MetricType_GAUGE,
		"seawall_window_served_ratio":       dto.MetricType_GAUGE,
		"seawall_window_p99_seconds":        dto.MetricType_GAUGE,
		"seawall_origin_in_flight":          dto.MetricType_GAUGE,
		"seawall_origin_waiting":            dto.MetricType_GAUGE,
		"seawall_origin_limit":              dto.MetricType_GAUGE,
		"seawall_origin_healthy":            dto.MetricType_GAUGE,
		"seawall_origin_p95_seconds":        dto.MetricType_GAUGE,
		"process_resident_memory_bytes":     dto.MetricType_GAUGE,
		"go_goroutines":                     dto.MetricType_GAUGE,
	} {
		f := m[name]
		if f == nil || f.GetType() != kind || f.GetHelp() == "" {
			t.Errorf("%s: %v", name, f)
		}
	}
	for name := range m {
		if !strings.HasPrefix(name, "seawall_") && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s does not begin with seawall_", name)
		}
	}
	if n := m["seawall_banned_prefixes"].GetMetric()[0].GetGauge().GetValue(); n != 1 {
		t.Errorf("%v banned prefixes", n)
	}
}
