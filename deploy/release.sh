#!/usr/bin/env bash
# Builds static binaries, a .deb and an .rpm for each architecture, and signed
# checksums, into dist/. Called by `make release`.
#
# SEAWALL_SIGN_KEY names a minisign secret key file (its password in
# SEAWALL_SIGN_PASSWORD). Without it a key is made for this build alone and its
# public half put beside the checksums: good for trying the release out, not
# for publishing it.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$1 nfpm=$2
shift 2
rm -rf dist
mkdir -p dist

VERSION=$(deploy/version.sh "$version")
export VERSION

deploy/licences.sh >dist/LICENCES

for arch in "$@"; do
  echo "build linux/$arch"
  export ARCH=$arch BINARY=dist/seawall-linux-$arch
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath \
    -ldflags "-s -w -X main.release=$version" -o "$BINARY" ./cmd/seawall
  for kind in deb rpm; do
    GOOS='' GOARCH='' go run "$nfpm" package -f deploy/nfpm.yaml -p "$kind" -t dist/
  done
done

(cd dist && sha256sum -- * >SHA256SUMS)
go run ./deploy/sign dist/SHA256SUMS
ls -l dist
