#!/usr/bin/env bash
# Prints the licences of all that the binary contains, word for word, as they
# ask of whoever passes it on. NOTICE is the short form.
set -euo pipefail
cd "$(dirname "$0")/.."

show() { # NAME FOLDER
  printf '\n======== %s\n\n' "$1"
  find "$2" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) -print0 |
    sort -z | xargs -0 cat
}

echo "Seawall contains the following, each under its own licence."
show "Go $(go env GOVERSION)" "$(go env GOROOT)"
go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}	{{.Dir}}{{end}}{{end}}' ./cmd/seawall |
  sort -u | while IFS=$'\t' read -r name dir; do show "$name" "$dir"; done
