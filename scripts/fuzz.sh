#!/usr/bin/env bash
# fuzz.sh FUZZTIME PATTERN MODULE... runs the fuzz targets of the modules whose package and
# name match the pattern for that long each, as many at once as there are cores, and tells
# the executions of each.
set -euo pipefail

fuzztime=$1 pattern=$2
shift 2
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# fuzz MODULE PACKAGE TARGET runs one target on one core.
fuzz() {
	local log=$logs/${2//\//_}.$3
	if ! go -C "$1" test -run '^$' -fuzz "^$3\$" -fuzztime "$fuzztime" -fuzzminimizetime 1s -parallel 1 "$2" >"$log" 2>&1; then
		cat "$log"
		echo "FAIL $2 $3"
		return 1
	fi
	echo "ok   $2 $3 $(grep -o 'execs: [0-9]*' "$log" | tail -n 1)"
}
export -f fuzz
export fuzztime logs

for module; do
	list=$(go -C "$module" test -list '^Fuzz' ./...)
	awk -v module="$module" '/^Fuzz/ { targets[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print module, $2, targets[i]; n = 0 }' <<<"$list"
done | awk -v pattern="$pattern" '$2 " " $3 ~ pattern' >"$logs/.targets"
if ! [ -s "$logs/.targets" ]; then
	echo "fuzz.sh: no fuzz target matches $pattern in $*" >&2
	exit 1
fi
xargs -P "$(nproc)" -L 1 bash -c 'fuzz "$@"' fuzz <"$logs/.targets"
echo "$(wc -l <"$logs/.targets") fuzz targets, $fuzztime each"
