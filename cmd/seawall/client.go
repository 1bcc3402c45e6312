package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"seawall/internal/app"
	"seawall/internal/config"
)

// target is the running Seawall that a command speaks to.
type target struct {
	admin string // host:port
	token string
	data  string
	json  bool
}

// aim adds the flags by which a command finds the running Seawall.
func aim(c *cobra.Command) *target {
	t := &target{}
	c.Flags().StringVar(&t.admin, "admin", "", "admin address of the running Seawall (default: what the data folder says, then 127.0.0.1:9090)")
	c.Flags().StringVar(&t.data, "data", "", "data folder of Seawall (default: ./seawall-data, then /var/lib/seawall)")
	c.Flags().BoolVar(&t.json, "json", false, "print JSON")
	var file string
	c.Flags().StringVarP(&file, "config", "c", "", "configuration file to take the addresses from")
	c.PreRunE = func(*cobra.Command, []string) error { return t.resolve(file) }
	return t
}

func (t *target) resolve(file string) error {
	configured := config.Default().Admin.Listen
	if file != "" {
		// A file with problems will do as far as it could be read: whoever has
		// just broken it must still be able to switch off, or to be told what is
		// wrong by `seawall reload`.
		cfg, err := config.Load(file)
		if cfg == nil {
			return err
		}
		configured = cfg.Admin.Listen
		t.data = first(t.data, cfg.Data)
		t.token = cfg.Admin.Token
	}
	if t.data == "" {
		t.data = config.Default().Data
		if _, err := os.Stat(t.data); err != nil {
			if _, err := os.Stat(app.PackagedData); err == nil {
				t.data = app.PackagedData
			}
		}
	}
	if running, err := app.ReadRunning(t.data); err == nil {
		t.admin = first(t.admin, running.Admin)
	}
	t.admin = first(t.admin, configured)
	t.token = first(os.Getenv("SEAWALL_TOKEN"), t.token)
	return nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// errNotRunning is returned when nothing listens on the admin address.
var errNotRunning = errors.New("no Seawall answers")

// errConfiguration is returned when a running Seawall did not take a
// configuration.
var errConfiguration = errors.New("the configuration in force stays the old one; the new one has problems")

// ask sends one request to the admin API and returns an answer that is a good one.
func (t *target) ask(ctx context.Context, method, path string, payload io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+t.admin+path, payload)
	if err != nil {
		return nil, usagef("--admin %s: %w", t.admin, err)
	}
	req.Header.Set("Seawall-Admin", "1")
	if t.token != "" {
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("%w on %s; is it running? `seawall run` starts it, --admin or --data says where", errNotRunning, t.admin)
		}
		return nil, fmt.Errorf("ask Seawall on %s: %w", t.admin, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, refusal(resp)
	}
	return resp, nil
}

// refusal reads why the admin API does not do what it was asked for.
func refusal(resp *http.Response) error {
	var e struct{ Error string }
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || json.Unmarshal(text, &e) != nil || e.Error == "" {
		e.Error = fmt.Sprintf("status %d", resp.StatusCode)
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return fmt.Errorf("%s (set SEAWALL_TOKEN, or name the configuration with -c)", e.Error)
	case http.StatusUnprocessableEntity:
		return fmt.Errorf("%w:\n%s", errConfiguration, e.Error)
	}
	return errors.New(e.Error)
}

// call sends one request to the admin API; body and into may be nil.
func (t *target) call(ctx context.Context, method, path string, body, into any) error {
	return t.callWithin(ctx, 15*time.Second, method, path, body, into)
}

func (t *target) callWithin(ctx context.Context, patience time.Duration, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		payload = bytes.NewReader(b)
	}
	resp, err := t.ask(ctx, method, path, payload)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("read the answer of Seawall on %s: %w", t.admin, err)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// stream asks for what comes piece by piece, until it ends or ctx does.
func (t *target) stream(ctx context.Context, path string) (io.ReadCloser, error) {
	resp, err := t.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
