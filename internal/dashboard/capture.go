package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Bounds of a capture.
const (
	LeastCaptureTime = time.Second // the filter's samples are read once a second
	MostCaptureTime  = time.Hour
	LeastCapture     = 4 << 10 // bytes
	MostCapture      = 1 << 30

	defaultCaptureTime = 30 * time.Second
	defaultCapture     = 10 << 20
)

// readerPatience is how long a capture waits for its reader to take what is
// there. Who is slower has lost samples by then, and keeps others from capturing.
const readerPatience = 10 * time.Second

// CaptureOrder is a person's order to record sampled packets.
type CaptureOrder struct {
	For             time.Duration
	Stopped, Passed bool
	Most            int64 // bytes
}

// Query is the order as GET /api/v1/capture takes it.
func (o CaptureOrder) Query() string {
	return url.Values{
		"for": {o.For.String()}, "most": {strconv.FormatInt(o.Most, 10)},
		"stopped": {strconv.FormatBool(o.Stopped)}, "passed": {strconv.FormatBool(o.Passed)},
	}.Encode()
}

// Check says what is wrong with an order.
func (o CaptureOrder) Check() error {
	switch {
	case o.For < LeastCaptureTime || o.For > MostCaptureTime:
		return fmt.Errorf("a capture lasts from 1s to 1h, not %v", o.For)
	case o.Most < LeastCapture || o.Most > MostCapture:
		return fmt.Errorf("a capture has from 4 KiB to 1 GiB (%d to %d bytes), not %d", LeastCapture, MostCapture, o.Most)
	case !o.Stopped && !o.Passed:
		return errors.New("neither stopped nor passed packets are wanted: nothing would be captured")
	}
	return nil
}

func captureOrder(q url.Values) (o CaptureOrder, err error) {
	o = CaptureOrder{For: defaultCaptureTime, Stopped: true, Most: defaultCapture}
	for key, values := range q {
		value := values[len(values)-1]
		switch key {
		case "for":
			o.For, err = span(value)
		case "most":
			if o.Most, err = strconv.ParseInt(value, 10, 64); err != nil {
				err = fmt.Errorf("most=%s: write a number of bytes", value)
			}
		case "stopped":
			o.Stopped, err = yes(key, value)
		case "passed":
			o.Passed, err = yes(key, value)
		default:
			err = fmt.Errorf("there is no %q; a capture takes for, stopped, passed and most", key)
		}
		if err != nil {
			return o, err
		}
	}
	return o, o.Check()
}

func yes(key, value string) (bool, error) {
	b, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%s=%s: write true or false", key, value)
	}
	return b, nil
}

// capture streams the headers of sampled packets as a pcapng file. It is asked for
// like a change, with the header Seawall-Admin: there is one capture at a time,
// and a web page must not be able to take the place.
func (s *Server) capture(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Seawall-Admin") == "" {
		fail(w, http.StatusForbidden, "a capture carries the header Seawall-Admin: 1, so that no web page can begin one")
		return
	}
	o, err := captureOrder(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if r.Method != http.MethodGet { // the mux takes HEAD for GET
		fail(w, http.StatusMethodNotAllowed, "a capture is asked for with GET")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), o.For)
	defer cancel()
	file, err := s.shield.Capture(ctx, o)
	if err != nil {
		answer(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-pcapng")
	w.Header().Set("Content-Disposition", `attachment; filename="seawall.pcapng"`)
	out := flusher{w, http.NewResponseController(w)}
	// The time limit for reading a request would end the stream, too.
	if err := out.c.SetReadDeadline(time.Time{}); err != nil {
		s.log.Error("capture packets", "err", err)
		return
	}
	if _, err := file.WriteTo(out); err != nil && r.Context().Err() == nil {
		s.log.Warn("a capture ended early", "err", err)
		panic(http.ErrAbortHandler) // so that the reader sees that it is not whole
	}
}

// flusher hands on each piece at once, to a reader who takes it in time.
type flusher struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func (f flusher) Write(b []byte) (int, error) {
	if err := f.c.SetWriteDeadline(time.Now().Add(readerPatience)); err != nil {
		return 0, err
	}
	n, err := f.w.Write(b)
	if err == nil {
		err = f.c.Flush()
	}
	return n, err
}
