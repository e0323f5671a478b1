#!/usr/bin/env bash
# fuzz.sh FUZZTIME MODULE... runs every fuzz target of the modules for that long each.
set -euo pipefail

fuzztime=$1
shift
found=0
for module; do
	list=$(go -C "$module" test -list '^Fuzz' ./...)
	while read -r package target; do
		found=$((found + 1))
		echo "== $package $target"
		go -C "$module" test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" "$package"
	done < <(awk '/^Fuzz/ { targets[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print $2, targets[i]; n = 0 }' <<<"$list")
done
if [ "$found" = 0 ]; then
	echo "fuzz.sh: no fuzz target in $*" >&2
	exit 1
fi
echo "$found fuzz targets"
