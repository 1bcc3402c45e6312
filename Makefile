# Seawall: `make demo` shows it at work, `make test` runs the whole test suite.
# Any Go since 1.21 will do: it fetches the release that go.mod names by itself.

export GOTOOLCHAIN := auto
export CGO_ENABLED ?= 0

NEEDS_GO := Seawall needs Go 1.21 or newer (Debian 12: apt install -t bookworm-backports golang-go; or https://go.dev/dl/)
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  := -s -w -X main.release=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
NFPM        := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
ARCHES   := amd64 arm64

.PHONY: all build demo test race lint fuzz bench bench-stream bench-packet bench-flood bench-peers bench-protocol h2spec bpf bpf-check geodata release clean go

all: build

# One line for whoever has no Go, or too old a one.
go:
	@command -v go >/dev/null 2>&1 || { echo "$(NEEDS_GO)"; exit 1; }
	@GOTOOLCHAIN=local go version | awk '{ v = substr($$3, 3); split(v, n, "."); exit !(n[1] > 1 || n[2] + 0 >= 21) }' || { echo "$(NEEDS_GO); this is $$(GOTOOLCHAIN=local go version | cut -d' ' -f3)"; exit 1; }

build: go
	@mkdir -p bin
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/seawall ./cmd/seawall

# The campaign site, its visitors, a flood on loopback, and Seawall in front.
demo: build
	./bin/seawall demo $(ARGS)

# One package at a time, the scenarios last: some tests watch how fast things
# happen, and others would run on the same processors. Those that mostly wait run
# beside each other. Never from the cache: tests of the whole program build it
# themselves, which the cache does not see.
BESIDE := -parallel 4

# What only computes, and minds no neighbour: two packages at a time.
COMPUTES := ./internal/config ./internal/defense/... ./internal/match ./internal/packet/twin ./internal/replay/... \
  ./internal/traffic ./internal/bench/accuracy
test: go
	go vet ./...
	go test -p 2 $(BESIDE) -count=1 $(TESTFLAGS) $(COMPUTES) ./test/accuracy ./test/replay
	go test -p 1 $(BESIDE) -count=1 $(TESTFLAGS) $$(go list ./... | grep -vxF "$$(go list $(COMPUTES) ./test/accuracy ./test/replay ./test/scenarios/...)")
	go test -p 1 -count=1 $(TESTFLAGS) ./test/scenarios/...

# Built on all processors first, of which -p 1 uses one. What one goroutine goes through
# alone, ten times as slowly (weeks, captures of packets), is left to `make test`: nothing
# races there.
ALONE := TestLearntSpans|TestSpansAreEven|TestTwinAgrees|TestTwinSigns|TestEachFieldOfSignatures
ALONE := ^($(ALONE)|TestPacketFloods(AreFoundEarly|InTheLoop|FromTheStart)|TestHeldOffByTheKernelIsOneAttack)$$
race: go
	CGO_ENABLED=1 go build -race ./internal/... ./cmd/...
	CGO_ENABLED=1 go test -p 2 $(BESIDE) -count=1 -race -skip '$(ALONE)' $(COMPUTES)
	CGO_ENABLED=1 go test -p 1 $(BESIDE) -count=1 -race -skip '$(ALONE)' $$(go list ./internal/... ./cmd/... | grep -vxF "$$(go list $(COMPUTES))")

lint: go
	@test -z "$$(gofmt -l cmd internal test)" || { gofmt -l cmd internal test; echo "gofmt -w the files above"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go test ./test -run TestHouse

# Each fuzz target for FUZZTIME.
FUZZTIME ?= 10s
fuzz: go
	@for p in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; \
	done

# The door's cost, and the scenarios with their bars, beside nginx and HAProxy
# where they are installed.
bench: build
	go test -run '^$$' -bench 'Decide|Identify|Record|Refuse' -benchmem ./internal/request/admit ./internal/request/identify ./internal/request/refuse ./internal/defense/observe
	./bin/seawall bench --peers --clients 10000000 $(ARGS)

# 1 GiB up and 1 GiB down through Seawall, and its resident memory above idle.
bench-stream: go
	go test -run '^$$' -bench Stream -benchtime 1x ./test/e2e

# The packet filter's object, from its sources. It is committed, so only who
# changes the sources needs clang, llvm and libbpf-dev.
BPF := internal/packet/filter/bpf
bpf:
	cd $(BPF) && clang -O2 -g -Wall -Werror -fno-strict-aliasing -target bpf -mcpu=v3 -I/usr/include/$$(uname -m)-linux-gnu \
	  -fdebug-compilation-dir=. -c filter.bpf.c -o filter.o && llvm-strip -g filter.o

# Whether the committed object is what the sources give.
bpf-check:
	@cp $(BPF)/filter.o $(BPF)/committed.o && $(MAKE) -s bpf && cmp $(BPF)/filter.o $(BPF)/committed.o && rm $(BPF)/committed.o \
	  || { mv $(BPF)/committed.o $(BPF)/filter.o; echo "run \`make bpf\` and commit $(BPF)/filter.o"; exit 1; }

# What a packet costs on each way through the filter, beside xdp-filter (Debian:
# xdp-tools), what signatures add, and what dropping it costs a receiver, beside
# nftables and iptables.
# Needs root.
bench-packet: go
	go test -run '^$$' -bench 'Paths|Receiver|Signatures' -benchtime 1x ./internal/packet/filter

# 1,000,000 packets a second of each kind at a server in a network namespace, and
# what its visitors and its own DNS, SSH and mail meet; and floods that others
# captured, in ../shared/data/pcap, replayed at 20,000. Eight minutes; needs root,
# nginx and sshd. FLOOD_RATE and FLOOD_ONLY (part of a flood's name) narrow it.
bench-flood: go
	go test -run '^$$' -bench 'Flood|Replay' -benchtime 1x -timeout 30m ./test/scenarios/packets

# Every attack on HTTP, TLS and WebSocket for STORM_SECONDS (20) at STORM_FACTOR (2)
# times its usual intensity, with Seawall's usual times, beside visitors. Half an
# hour; STORM_ONLY (part of an attack's name) narrows it, STORM_HTTP3=on adds HTTP/3.
bench-protocol: go
	go test -run '^$$' -bench Storms -benchtime 1x -timeout 60m ./test/scenarios/protocol

# What h2spec says about how HTTP/2 is spoken here.
h2spec: go
	go test -count=1 -run H2spec -v ./test/scenarios/protocol

# What a request and a connection cost, beside nginx and HAProxy (docs/peers.md).
# Five minutes; PEERS_ROUNDS, PEERS_SECONDS and PEERS_ONLY (part of a row's name)
# narrow it. As root it installs what is missing; nothing is started by that.
bench-peers: go
	@test/peers/install.sh
	go test -count=1 -run '^$$' -bench Peers -benchtime 1x -timeout 30m ./test/peers

geodata: go
	go run ./tools/geodata -out internal/request/identify/geo

# Static binaries, packages with a systemd unit, and signed checksums in dist/.
release: go
	deploy/release.sh "$(VERSION)" "$(NFPM)" $(ARCHES)

clean:
	rm -rf bin dist
