#!/bin/sh
# Installs from Debian what `make bench-peers` needs and is missing.
set -eu
need=
add() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || need="$need $2"; }
add nginx nginx
add haproxy haproxy
add wrk wrk
add h2load nghttp2-client
add openssl openssl
[ -n "$need" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "bench-peers needs (Debian's names):$need" >&2
  exit 1
fi
echo "installing$need"
# The packages would start their servers, which the measurement does itself.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # several names
apt-get install -y -qq --no-install-recommends $need >/dev/null
