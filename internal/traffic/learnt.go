package traffic

import "time"

// Learnt is what is known of ordinary traffic here, for people to look at: over the
// last hour, day and week, and by the hour of the week. Read only.
type Learnt struct {
	At     time.Time `json:"at"`     // when this held
	Frozen bool      `json:"frozen"` // an attack runs, so nothing is learnt
	Now    *Normal   `json:"now"`    // what traffic is compared with at this moment
	Hour   Span      `json:"hour"`
	Day    Span      `json:"day"`
	Week   Span      `json:"week"`
	// Hours is what each hour of the week usually shows, Monday and midnight first (UTC).
	Hours [7][24]WeekHour `json:"hours"`
}

// Span is what a stretch of the past showed. What is 0 is not known.
type Span struct {
	Learned time.Duration `json:"learned"`        // seconds with visits in it that were learnt from
	Since   time.Time     `json:"since,omitzero"` // the oldest of them; zero: there are none

	Requests  Rates         `json:"requests"`   // let in, a second
	Clients   float64       `json:"clients"`    // distinct prefixes a second, 95th percentile
	PerClient float64       `json:"per_client"` // requests a second of the busiest client, median
	OriginP50 time.Duration `json:"origin_p50"` // median of the medians
	OriginP95 time.Duration `json:"origin_p95"` // median of the 95th percentiles
	Capacity  float64       `json:"capacity"`   // highest rate the origin bore in comfort

	AssetShare     float64 `json:"asset_share"`     // of requests, that are for assets
	ClearanceShare float64 `json:"clearance_share"` // of requests, that bring our cookie back

	Samples int `json:"samples"` // ordinary requests kept of it for testing signatures on
	// Instead says what is used in its place while too little of it is known; "" where
	// it is used.
	Instead string `json:"instead,omitempty"`
}

// WeekHour is what one hour of the week usually shows.
type WeekHour struct {
	Weeks int `json:"weeks"` // how many of these hours were learnt; 0: the rest is not valid
	Rates     // requests a second
}
