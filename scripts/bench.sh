#!/usr/bin/env bash
# Runs one benchmark: scripts/bench.sh NAME [arguments]. Its last line on stdout is one JSON object.
# NAME "all" runs every measurement, stores the results and writes docs/benchmarks.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

names=$(cd "$repo/tests/benchmarks" && ls -- *.py | sed 's/\.py$//' | tr '\n' ' ')
[[ $# -gt 0 ]] || fail "which benchmark? known: $names"
name=$1
shift
[[ -f "$repo/tests/benchmarks/$name.py" ]] || fail "no benchmark '$name'; known: $names"

"$repo/scripts/setup.sh"
export_environment
exec "$python" "$repo/tests/benchmarks/$name.py" "$@"
