#!/bin/sh
set -e
getent group seawall >/dev/null || groupadd --system seawall
getent passwd seawall >/dev/null || useradd --system --gid seawall --home-dir /var/lib/seawall --shell /usr/sbin/nologin seawall
