package listen

import (
	"bufio"
	"errors"
	"io"

	"github.com/quic-go/quic-go"

	"seawall/internal/request/listen/h3"
)

// others takes the streams that carry no request. There are at most uniStreams of
// them at a time.
func (h *http3) others() {
	for {
		q, err := h.quic.AcceptUniStream(h.quic.Context())
		if err != nil {
			return
		}
		h.work.Go(func() {
			defer q.ReleaseStreamCredit()
			var f fault3
			switch err := h.other(q); {
			case h.quic.Context().Err() != nil, err == nil:
			case errors.As(err, &f):
				h.fail(f.code)
			default: // the stream was ended, and only some may be
				h.fail(h3.ClosedCriticalStream)
			}
		})
	}
}

// other reads one of them to its end, which is none of those that are critical.
func (h *http3) other(q *quic.ReceiveStream) error {
	br := bufio.NewReaderSize(q, 128)
	kind, err := readInt(br)
	if err != nil {
		return nil // it may have been of any kind
	}
	slot := 0
	switch kind {
	case h3.ControlStream:
	case h3.EncoderStream:
		slot = 1
	case h3.DecoderStream:
		slot = 2
	case h3.PushStream: // only servers push
		return fault3{h3.StreamCreationError, true}
	default:
		q.CancelRead(quic.StreamErrorCode(h3.StreamCreationError))
		h.glitch(glitchFrame)
		return nil
	}
	h.mu.Lock()
	again := h.critical[slot]
	h.critical[slot] = true
	h.mu.Unlock()
	switch {
	case again:
		return fault3{h3.StreamCreationError, true}
	case slot == 1:
		return h.encoder(br)
	case slot == 2:
		return h.decoder(br)
	}
	return h.controls(br)
}

// controls reads the client's control stream.
func (h *http3) controls(br *bufio.Reader) error {
	const longest = 1 << 10
	for first := true; ; first = false {
		kind, err := readInt(br)
		if err != nil {
			return err
		}
		length, err := readInt(br)
		if err != nil {
			return err
		}
		switch {
		case first && kind != h3.Settings:
			return fault3{h3.MissingSettings, true}
		case kind == h3.Settings && !first, h3.FromHTTP2(kind),
			kind == h3.Data, kind == h3.Headers, kind == h3.PushPromise:
			return fault3{h3.FrameUnexpected, true}
		case length > longest:
			return fault3{h3.ExcessiveLoad, true}
		}
		p := make([]byte, length)
		if _, err := io.ReadFull(br, p); err != nil {
			return err
		}
		if kind == h3.Settings {
			switch err := h3.ReadSettings(p); {
			case errors.Is(err, h3.ErrFrame):
				return fault3{h3.FrameError, true}
			case err != nil:
				return fault3{h3.SettingsError, true}
			}
			continue
		}
		if kind == h3.GoAway || kind == h3.MaxPushID || kind == h3.CancelPush {
			if _, size := h3.Int(p); size == 0 || size != len(p) {
				return fault3{h3.FrameError, true}
			}
		}
		if kind == h3.CancelPush { // nothing was promised
			return fault3{h3.IDError, true}
		}
		if !h.glitch(glitchFrame) {
			return nil
		}
	}
}

// encoder reads what the client would put into our table, which holds nothing: it
// may say so itself, and no more (RFC 9204, section 4.3.1).
func (h *http3) encoder(br *bufio.Reader) error {
	for {
		b, err := br.ReadByte()
		if err != nil {
			return err
		}
		if b != 0x20 {
			return fault3{h3.EncoderStreamError, true}
		}
		if !h.glitch(glitchFrame) {
			return nil
		}
	}
}

// decoder reads what the client says of its table, into which we put nothing: it
// may say that it has given up a stream, and no more (RFC 9204, section 4.4).
func (h *http3) decoder(br *bufio.Reader) error {
	for {
		b, err := br.ReadByte()
		if err != nil {
			return err
		}
		if b&0xc0 != 0x40 {
			return fault3{h3.DecoderStreamError, true}
		}
		for more, n := b&0x3f == 0x3f, 0; more; n++ {
			if b, err = br.ReadByte(); err != nil {
				return err
			}
			if more = b >= 0x80; n == 9 {
				return fault3{h3.DecoderStreamError, true}
			}
		}
		if !h.glitch(glitchCrumb) {
			return nil
		}
	}
}

// readInt reads a number as QUIC writes them.
func readInt(br *bufio.Reader) (uint64, error) {
	first, err := br.ReadByte()
	if err != nil {
		return 0, err
	}
	b := [8]byte{first}
	size := h3.IntSize(first)
	if _, err := io.ReadFull(br, b[1:size]); err != nil {
		return 0, err
	}
	n, _ := h3.Int(b[:size])
	return n, nil
}
