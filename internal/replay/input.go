package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// input is a file that is read, decompressed.
type input struct {
	file   *os.File
	from   io.Reader
	close  func() // of what decompresses; nil: nothing does
	unhook func() bool
}

// counted counts the bytes of a file as they are read.
type counted struct {
	r    io.Reader
	told func(n int64)
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.told(int64(n))
	return n, err
}

// openInput opens a file; "-" is standard input.
func openInput(ctx context.Context, path string, read func(n int64)) (_ *input, err error) {
	in := &input{}
	if in.file = os.Stdin; path != "-" {
		if in.file, err = os.Open(path); err != nil {
			return nil, err
		}
	}
	in.unhook = context.AfterFunc(ctx, func() { _ = in.file.Close() }) // what waits for a pipe ends
	raw := bufio.NewReaderSize(counted{in.file, read}, 64<<10)
	begins, _ := raw.Peek(4)
	ahead, _ := raw.Peek(raw.Buffered())
	in.from = io.MultiReader(bytes.NewReader(ahead), counted{in.file, read}) // who reads lines has a buffer
	switch {
	case len(begins) >= 2 && begins[0] == 0x1f && begins[1] == 0x8b:
		z, err := gzip.NewReader(raw)
		if err != nil {
			in.end()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		in.from = z
	case string(begins) == "\x28\xb5\x2f\xfd":
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			in.end()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		in.from, in.close = z, z.Close
	}
	return in, nil
}

func (in *input) end() {
	in.unhook()
	if in.close != nil {
		in.close()
	}
	_ = in.file.Close()
}
