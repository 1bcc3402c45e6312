#!/usr/bin/env bash
# Prints the version that a .deb and an .rpm carry for what `git describe
# --tags --always --dirty` says: both order it as time does, and neither takes a
# dash.
#
#   v1.2.3            1.2.3
#   v1.2.3-rc.1       1.2.3~rc.1         before 1.2.3
#   v1.2.3-4-g0e05fd4 1.2.3+4.g0e05fd4   after 1.2.3
#   0e05fd4           0.0.0~git120.0e05fd4, by the number of commits (no tag yet)
#   ...-dirty         ...+dirty
set -euo pipefail
said=${1#v} dirty=
[[ $said == *-dirty ]] && said=${said%-dirty} dirty=+dirty

if [[ $said =~ ^([0-9]+(\.[0-9]+)*)(-(.*))?$ && $said == *.* ]]; then
  version=${BASH_REMATCH[1]} rest=${BASH_REMATCH[4]} since=
  if [[ $rest =~ ^(.*-)?([0-9]+)-(g[0-9a-f]+)$ ]]; then
    since="+${BASH_REMATCH[2]}.${BASH_REMATCH[3]}" rest=${BASH_REMATCH[1]%-}
  fi
  [[ -n $rest ]] && version+="~${rest//-/.}"
  version+=$since
else
  version="0.0.0~git$(git rev-list --count HEAD 2>/dev/null || echo 0).${said//-/.}"
fi
echo "$version$dirty"
