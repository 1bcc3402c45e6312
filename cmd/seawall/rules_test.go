package main

import (
	"encoding/json"
	"strings"
	"testing"

	"seawall/internal/dashboard"
)

// What rules would have met of the last hour, day and week, as the API answers it.
const trials = `[
{"name": "poster", "match": "path == \"/poster\"", "action": "refuse", "too_much": true, "spans": [
  {"of": "hour", "tested": 4000, "hits": 0, "share": 0, "low": 0, "high": 0.00096, "clients": 0, "cleared": 0, "paths": [], "agents": [], "examples": []},
  {"of": "day", "tested": 2000, "hits": 1, "share": 0.0005, "low": 0.000088, "high": 0.00283, "clients": 1, "cleared": 0,
   "paths": [{"key": "/poster", "count": 1}], "agents": [{"key": "curl/8\u001b[2J", "count": 1}], "examples": []},
  {"of": "week", "tested": 2000, "hits": 41, "share": 0.0205, "low": 0.01515, "high": 0.0277, "clients": 12, "cleared": 3,
   "paths": [{"key": "/poster", "count": 41}], "agents": [{"key": "Mozilla/5.0", "count": 40}, {"key": "curl/8", "count": 1}],
   "examples": [{"method": "GET", "host": "www.example.org", "path": "/poster", "user_agent": "Mozilla/5.0", "country": "DE", "clearance": "none"}]}]},
{"name": "old", "match": "path == \"/old\"", "action": "slow", "spans": [
  {"of": "hour", "tested": 4000, "hits": 2, "share": 0.0005, "low": 0.000137, "high": 0.00182, "clients": 2, "cleared": 1,
   "paths": [{"key": "/old", "count": 2}], "agents": [{"key": "Mozilla/5.0", "count": 2}], "examples": []}]},
{"name": "big", "match": "packet.length >= 1400", "action": "drop", "dry_run": true, "spans": [
  {"of": "hour", "tested": 1200, "hits": 3, "share": 0.0025, "low": 0.00085, "high": 0.00733}]},
{"name": "new", "match": "path == \"/new\"", "action": "slow", "spans": [{"of": "hour", "tested": 0, "hits": 0, "high": 1}]}]`

func TestTrials(t *testing.T) {
	var all []dashboard.Trial
	if err := json.Unmarshal([]byte(trials), &all); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	printTrials(&b, all)
	golden(t, "trials.golden", b.String())
	if strings.Count(b.String(), "of 12 networks, 3 with a clearance") != 1 || !strings.Contains(b.String(), "of 2 clients, 1 with") || strings.ContainsRune(b.String(), '\x1b') {
		t.Error("of what is older than an hour, networks are known, and no clients")
	}
}
