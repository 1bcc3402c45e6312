#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # Where an old one runs, the new program takes over from it without losing a
  # request; where it cannot, the old one goes on, and a person has to look.
  if systemctl is-active --quiet seawall; then
    seawall upgrade -c /etc/seawall/seawall.yaml ||
      echo "The Seawall that runs is still the old one; \`journalctl -u seawall\` says why, and \`systemctl restart seawall\` replaces it."
  fi
fi
echo "Seawall is installed. Name your site in /etc/seawall/seawall.yaml, then:"
echo "  seawall check -c /etc/seawall/seawall.yaml && systemctl enable --now seawall"
