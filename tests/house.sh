#!/usr/bin/env bash
# Rules of the house that no compiler knows. Prints what breaks one, and where.
set -euo pipefail
cd "$(dirname "$0")/.."
status=0
broken() { printf '%s\n' "$@" >&2; status=1; }

# The core knows no socket, no runtime, no cluster, no terminal: ARCHITECTURE.md, "What each room may import".
foreign='tokio|axum|hyper|kube|k8s-openapi|rustls|tracing|clap|anyhow|rcgen'
tree=$(cargo tree --locked --no-default-features --edges normal --prefix none --format '{p}' | awk '{print $1}' | sort -u)
found=$(grep -xE "$foreign" <<<"$tree" || true)
[ -z "$found" ] || broken "the core depends on: $found"

# One crypto provider in the whole tree.
providers=$(cargo tree --locked --edges normal --prefix none --format '{p}' | awk '{print $1}' | sort -u | grep -xE 'ring|aws-lc-rs|openssl' || true)
[ "$providers" = ring ] || broken "crypto providers: $providers"

# A foreign crate stays in the room that is named for it: a change of crate is then a change of one room.
only() { # CRATE PLACE...
  local crate=$1 found
  shift
  found=$(grep -rlE "(^|[^a-z_:])$crate::" src --include='*.rs' | grep -vE "^src/($(IFS='|'; echo "$*"))" || true)
  [ -z "$found" ] || broken "$crate is used in $found, and belongs to: $*"
}
only axum server/
only clap cli server/args.rs server/config.rs
only prometheus_client server/metrics.rs server/store.rs server/connection/door.rs
only rustls server.rs server/identity server/listen.rs server/connection/door.rs
only saphyr_parser yaml cli/spans.rs
only base64 review/response.rs yaml/scalar.rs

# No keys, no places of one machine, no package registries.
found=$(git grep -nIE 'BEGIN ([A-Z]+ )?PRIVATE KEY-----|/work/(main|shared)|/home/[a-z]+/|proxy\.golang\.org|static\.crates\.io|registry\.npmjs\.org|deb\.debian\.org' -- . ':!tests/house.sh' || true)
[ -z "$found" ] || broken "keys, machine paths or registries in the repository:" "$found"

# Nobody comes back to a mark.
found=$(git grep -nE '\b(todo!|unimplemented!|FIXME|XXX)\b' -- '*.rs' || true)
[ -z "$found" ] || broken "unfinished marks:" "$found"

exit $status
