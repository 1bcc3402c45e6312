package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// status is what the demo reads of GET /api/v1/status.
type status struct {
	State       string         `json:"state"` // calm, attack, off
	Attack      *attackStatus  `json:"attack"`
	Attacks     []attackStatus `json:"attacks"`
	Mitigations []doing        `json:"mitigations"`
	Records     []record       `json:"records"`
	Window      struct {
		Offered  uint64 `json:"offered"`
		Admitted uint64 `json:"admitted"`
		Slowed   uint64 `json:"slowed"`
		Refused  uint64 `json:"refused"`
		Clients  uint64 `json:"clients"`
	} `json:"window"`
}

type attackStatus struct {
	Since     time.Time         `json:"since"`
	Noticed   time.Time         `json:"noticed"`
	Mitigated time.Time         `json:"mitigated"`
	Ended     time.Time         `json:"ended"`
	Peak      float64           `json:"peak"`
	Normal    float64           `json:"normal"`
	Refused   uint64            `json:"refused"`
	Reached   uint64            `json:"reached"`
	Countries map[string]uint64 `json:"countries"`
	Finding   *struct {
		Vector string `json:"vector"`
	} `json:"finding"`
}

// doing is one mitigation.
type doing struct {
	ID     uint32 `json:"id"`
	Match  string `json:"match"`
	Action string `json:"action"`
	Note   string `json:"note"`
	Hits   uint64 `json:"hits"`
}

// record is one thing that Seawall noticed, did or undid.
type record struct {
	At   time.Time `json:"at"`
	Step string    `json:"step"`
	Text string    `json:"text"`
}

// calm says that nothing is being done any more.
func (s *status) calm() bool { return s.State == "calm" && len(s.Mitigations) == 0 }

// attackFrom returns the first attack that was noticed from a moment on, nil
// if there was none.
func (s *status) attackFrom(from time.Time) *attackStatus {
	var first *attackStatus
	consider := func(a *attackStatus) {
		if a != nil && a.Noticed.After(from) && (first == nil || a.Noticed.Before(first.Noticed)) {
			first = a
		}
	}
	for i := range s.Attacks {
		consider(&s.Attacks[i])
	}
	if first == nil {
		consider(s.Attack)
	}
	return first
}

// api reads JSON over HTTP from loopback.
type api struct{ http http.Client }

func newAPI() *api {
	return &api{http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 2}}}
}

func (a *api) get(ctx context.Context, url string, v any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", url, err)
	}
	resp, err := a.http.Do(r)
	if err != nil {
		return fmt.Errorf("read %s: %w", url, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("read %s: %s", url, resp.Status)
	}
	if v == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(v); err != nil {
		return fmt.Errorf("read %s: %w", url, err)
	}
	return nil
}

// order posts JSON to the admin API.
func (a *api) order(ctx context.Context, url string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("order: %w", err)
	}
	r.Header.Set("Seawall-Admin", "1")
	resp, err := a.http.Do(r)
	if err != nil {
		return fmt.Errorf("order: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("order: %s: %s", resp.Status, said)
	}
	return nil
}
