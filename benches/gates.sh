#!/usr/bin/env bash
# The gate on instructions: what one review costs in the core, counted by callgrind as the difference of two numbers of reviews, so that it is
# the same on every machine whose processor has AVX2: without it base64 takes some 15,000 instructions more. The gate on allocations is
# tests/allocations.rs.
set -euo pipefail
cd "$(dirname "$0")/.."

most_typical=320000  # a review of 8.8 KB
most_large=25000000  # a review of 900 KB
most_growth=115      # per cent of one preset's, with 10,000

if ! command -v valgrind >/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends valgrind
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Without the server, and for a processor that valgrind knows.
if ! RUSTFLAGS="${RUSTFLAGS:-}" "${CARGO:-cargo}" bench --locked --no-default-features --no-run --bench instructions 2>"$log"; then
  cat "$log" >&2
  exit 1
fi
program=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$log")

# instructions BODY PRESETS FEW MANY: for one review. Maps with random keys make the start of 10,000 presets differ by half a million from run to
# run, so the two numbers lie far apart.
instructions() {
  local counts=() times
  for times in "$3" "$4"; do
    counts+=("$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" "$times" 2>&1 | awk '/Collected/ {print $4}')")
  done
  echo $(((counts[1] - counts[0]) / ($4 - $3)))
}

failed=0
# gate WHAT FIGURE LIMIT
gate() {
  if [ "$2" -le "$3" ]; then
    printf '%-55s %12d  at most %12d\n' "$@"
  else
    printf '%-55s %12d  at most %12d  FAILED\n' "$@"
    failed=1
  fi
}

for body in typical large; do
  if [ $body = typical ]; then few=5 many=1005 most=$most_typical; else few=2 many=42 most=$most_large; fi
  # Side by side: counts are not times.
  instructions $body 1 $few $many >"$log" &
  ten_thousand=$(instructions $body 10000 $few $many)
  wait $!
  one=$(cat "$log")
  gate "instructions, $body review, 1 preset" "$one" $most
  gate "instructions, $body review, 10,000 presets" "$ten_thousand" $most
  gate "per cent of one preset's, $body review, 10,000 presets" $((ten_thousand * 100 / one)) $most_growth
done
exit $failed
