package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// calls is a site that speaks gRPC.
type calls struct {
	pb.UnimplementedTestServiceServer
	mu   sync.Mutex
	seen metadata.MD   // of the last unary call
	gone chan struct{} // a call ended because its client left, or its time was over
}

// newCalls starts such a site, in clear text.
func newCalls(t testing.TB, opts ...grpc.ServerOption) (*calls, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &calls{gone: make(chan struct{}, 16)}
	s := grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(64<<20))...)
	pb.RegisterTestServiceServer(s, c)
	go s.Serve(l) //nolint:errcheck // it ends with the test
	t.Cleanup(s.Stop)
	return c, l.Addr().String()
}

func (c *calls) EmptyCall(ctx context.Context, _ *pb.Empty) (*pb.Empty, error) {
	<-ctx.Done()
	c.gone <- struct{}{}
	return nil, ctx.Err()
}

func (c *calls) UnaryCall(ctx context.Context, q *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	c.mu.Lock()
	c.seen = md
	c.mu.Unlock()
	if s := q.ResponseStatus; s != nil {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("why", "because"))
		return nil, status.Error(codes.Code(s.Code), s.Message)
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("in-head", "h"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("in-trailer", "t", "some-bin", "\x00\xff"))
	return &pb.SimpleResponse{Payload: q.Payload}, nil
}

func (c *calls) StreamingOutputCall(q *pb.StreamingOutputCallRequest, s pb.TestService_StreamingOutputCallServer) error {
	for _, p := range q.ResponseParameters {
		time.Sleep(time.Duration(p.IntervalUs) * time.Microsecond)
		if err := s.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: make([]byte, p.Size)}}); err != nil {
			return err
		}
	}
	if r := q.ResponseStatus; r != nil {
		return status.Error(codes.Code(r.Code), r.Message)
	}
	return nil
}

func (c *calls) StreamingInputCall(s pb.TestService_StreamingInputCallServer) error {
	sum := 0
	for {
		q, err := s.Recv()
		if err == io.EOF {
			return s.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		if sum += len(q.Payload.GetBody()); sum > 32<<20 {
			return status.Error(codes.ResourceExhausted, "enough")
		}
	}
}

// FullDuplexCall speaks first, and then echoes.
func (c *calls) FullDuplexCall(s pb.TestService_FullDuplexCallServer) error {
	if err := s.SendHeader(metadata.Pairs("greeting", "hello")); err != nil {
		return err
	}
	for {
		q, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			c.gone <- struct{}{}
			return err
		}
		if err := s.Send(&pb.StreamingOutputCallResponse{Payload: q.Payload}); err != nil {
			return err
		}
	}
}

// callHouse is Seawall by HTTPS in front of a site that speaks gRPC.
func callHouse(t *testing.T, more config) (*calls, *wall, pb.TestServiceClient) {
	t.Helper()
	c, addr := newCalls(t)
	file, key := certify(t, t.TempDir(), "example.org")
	proxy := config{"origins": []config{{"url": "http://" + addr, "http2": true}}, "health": config{"every": "200ms", "rise": 1, "fall": 2}}
	for k, v := range more {
		proxy[k] = v
	}
	w := start(t, config{
		"listen": config{"tls": config{"addresses": []string{"127.0.0.1:0"}, "certificates": []config{{"file": file, "key": key}}},
			"grace": "1s"},
		"proxy": proxy,
	})
	conn, err := grpc.NewClient("passthrough:///"+w.secure,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, ServerName: "example.org"})),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return c, w, pb.NewTestServiceClient(conn)
}

// Calls of every kind, of a real client to a real server, through HTTPS.
func TestGRPC(t *testing.T) {
	t.Parallel()
	c, w, client := callHouse(t, config{"answer_timeout": "5s"})
	within := func(t *testing.T, d time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		t.Cleanup(cancel)
		return ctx
	}
	t.Run("unary", func(t *testing.T) { callUnary(t, within(t, 10*time.Second), c, client) })
	t.Run("large", func(t *testing.T) {
		p := bytes.Repeat([]byte("0123456789abcdef"), 20<<16)
		r, err := client.UnaryCall(within(t, 60*time.Second), &pb.SimpleRequest{Payload: &pb.Payload{Body: p}})
		if err != nil || !bytes.Equal(r.Payload.Body, p) {
			t.Errorf("%v, %d bytes", err, len(r.GetPayload().GetBody()))
		}
	})
	t.Run("status", func(t *testing.T) { callStatus(t, within(t, 10*time.Second), client) })
	t.Run("server streaming", func(t *testing.T) { callServerStream(t, within(t, 20*time.Second), client) })
	t.Run("client streaming", func(t *testing.T) { callClientStream(t, within(t, 20*time.Second), client) })
	t.Run("both", func(t *testing.T) { callBoth(t, within(t, 20*time.Second), client) })
	t.Run("deadline and cancel", func(t *testing.T) {
		_, err := client.EmptyCall(within(t, 300*time.Millisecond), &pb.Empty{})
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("after the deadline: %v", err)
		}
		ctx, cancel := context.WithCancel(within(t, 10*time.Second))
		time.AfterFunc(200*time.Millisecond, cancel)
		if _, err = client.EmptyCall(ctx, &pb.Empty{}); status.Code(err) != codes.Canceled {
			t.Errorf("after cancelling: %v", err)
		}
		for range 2 {
			select {
			case <-c.gone:
			case <-time.After(5 * time.Second):
				t.Fatal("the origin was not told")
			}
		}
	})
	t.Run("no answer", func(t *testing.T) {
		_, err := client.EmptyCall(within(t, 20*time.Second), &pb.Empty{})
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "504") {
			t.Errorf("from an origin that does not answer: %v", err)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		var all sync.WaitGroup
		ctx := within(t, 30*time.Second)
		for range 20 {
			all.Go(func() {
				for range 20 {
					if _, err := client.UnaryCall(ctx, &pb.SimpleRequest{Payload: &pb.Payload{Body: make([]byte, 1000)}}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	})
	if s := w.log.String(); strings.Contains(s, "panic") {
		t.Error(s)
	}
}

func callUnary(t *testing.T, ctx context.Context, c *calls, client pb.TestServiceClient) {
	var head, trailer metadata.MD
	ctx = metadata.AppendToOutgoingContext(ctx, "mine", "1", "x-forwarded-for", "6.6.6.6", "raw-bin", "\x01\xfe")
	r, err := client.UnaryCall(ctx, &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte("hi")}}, grpc.Header(&head), grpc.Trailer(&trailer))
	if err != nil || string(r.Payload.Body) != "hi" {
		t.Fatalf("%v, %v", r, err)
	}
	if head.Get("in-head")[0] != "h" || trailer.Get("in-trailer")[0] != "t" || trailer.Get("some-bin")[0] != "\x00\xff" {
		t.Errorf("head %v, trailer %v", head, trailer)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, want := range map[string]string{"mine": "1", "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "https", "raw-bin": "\x01\xfe", ":authority": "example.org"} {
		if got := c.seen.Get(k); len(got) != 1 || got[0] != want {
			t.Errorf("the origin is told %s: %q, want %q", k, got, want)
		}
	}
}

func callStatus(t *testing.T, ctx context.Context, client pb.TestServiceClient) {
	var trailer metadata.MD
	_, err := client.UnaryCall(ctx, &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: int32(codes.FailedPrecondition), Message: "not so: é %"}}, grpc.Trailer(&trailer))
	if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "not so: é %" || len(trailer.Get("why")) != 1 {
		t.Errorf("%v, trailer %v", err, trailer)
	}
	if _, err := client.UnimplementedCall(ctx, &pb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a call that is not served: %v", err)
	}
	s, err := client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{
		ResponseParameters: []*pb.ResponseParameters{{Size: 10}}, ResponseStatus: &pb.EchoStatus{Code: int32(codes.DataLoss), Message: "lost"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Error(err)
	}
	if _, err := s.Recv(); status.Code(err) != codes.DataLoss || status.Convert(err).Message() != "lost" {
		t.Errorf("after a message: %v", err)
	}
}

// callServerStream: each message is there before the next.
func callServerStream(t *testing.T, ctx context.Context, client pb.TestServiceClient) {
	q := &pb.StreamingOutputCallRequest{}
	for range 8 {
		q.ResponseParameters = append(q.ResponseParameters, &pb.ResponseParameters{Size: 1000, IntervalUs: 200_000})
	}
	began := time.Now()
	s, err := client.StreamingOutputCall(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		m, err := s.Recv()
		if err != nil || len(m.Payload.Body) != 1000 {
			t.Fatalf("message %d: %v", i, err)
		}
		if i == 0 && time.Since(began) > 900*time.Millisecond {
			t.Errorf("the first came after %v", time.Since(began))
		}
	}
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func callClientStream(t *testing.T, ctx context.Context, client pb.TestServiceClient) {
	s, err := client.StreamingInputCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := s.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: make([]byte, 100_000)}}); err != nil {
			t.Fatal(err)
		}
		if i == 50 {
			time.Sleep(2 * time.Second) // twice what a form may take
		}
	}
	if r, err := s.CloseAndRecv(); err != nil || r.AggregatedPayloadSize != 10_000_000 {
		t.Errorf("%v, %v", r, err)
	}
	// The origin has had enough before the client has said everything.
	if s, err = client.StreamingInputCall(ctx); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		err = s.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: make([]byte, 1<<20)}})
	}
	if err != io.EOF {
		t.Errorf("sending too much: %v", err)
	}
	if _, err := s.CloseAndRecv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("having sent too much: %v", err)
	}
}

// callBoth: the origin speaks first, then in turns, with silences that no form
// would be granted; and the client leaves in the midst of it.
func callBoth(t *testing.T, ctx context.Context, client pb.TestServiceClient) {
	s, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if head, err := s.Header(); err != nil || len(head.Get("greeting")) != 1 {
		t.Fatalf("before anything was sent: %v, %v", head, err)
	}
	for i, size := range []int{1, 0, 70_000, 3_000_000, 5} {
		if i == 2 {
			time.Sleep(2500 * time.Millisecond)
		}
		if err := s.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: make([]byte, size)}}); err != nil {
			t.Fatal(err)
		}
		if m, err := s.Recv(); err != nil || len(m.GetPayload().GetBody()) != size {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// Calls that stay are counted apart from those that the origin works at, and one in
// which nothing is said is ended at last.
func TestGRPCSilence(t *testing.T) {
	t.Parallel()
	c, _, client := callHouse(t, config{"upgrade_idle": "2s", "max_in_flight": 4})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var open []pb.TestService_FullDuplexCallClient
	for range 8 {
		s, err := client.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	for i, s := range open {
		if _, err := s.Header(); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if _, err := client.UnaryCall(ctx, &pb.SimpleRequest{Payload: &pb.Payload{}}); err != nil {
		t.Errorf("beside silent calls: %v", err)
	}
	for i, s := range open {
		if _, err := s.Recv(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("call %d ended with %v", i, err)
		}
	}
	for i := range open {
		select {
		case <-c.gone:
		case <-ctx.Done():
			t.Fatalf("the origin was not told of call %d", i)
		}
	}
}
