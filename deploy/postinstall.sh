#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # After an upgrade the new program takes over where the old one runs.
  systemctl try-restart seawall || true
fi
echo "Seawall is installed. Name your site in /etc/seawall/seawall.yaml, then:"
echo "  seawall check -c /etc/seawall/seawall.yaml && systemctl enable --now seawall"
