// Package dashboard is where the operator looks and steers: the admin API, the
// health checks, the metrics, and one small page.
//
// In: HTTP requests on the admin address (loopback unless set otherwise; then
// with a bearer token), and a Shield, which app hands in. Out: JSON, server-sent
// events, Prometheus text, captures of packets, and orders to the Shield. Requests that change
// something must come from no web page: they carry the header Seawall-Admin,
// which a page of another site cannot send, and every request must name the
// admin address as its Host, so that no foreign name can be made to point here.
//
// It fails closed: what cannot be verified is turned away. It holds no state
// and no goroutine beyond those of its requests.
package dashboard
