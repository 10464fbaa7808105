#!/usr/bin/env bash
# Builds everything, looks at its text (lint.sh) and runs every test: GoogleTest, glue, real host, real front end, and a little of the
# benchmark `trust`. Fails on any failure and on any
# test that skips where it should run. Logs: .test/logs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

logs="$scratch/logs"
failed=()

# suite NAME SKIPPED COMMAND...: runs a suite, its output shown and kept. A line that matches SKIPPED is a failure too.
# A failing suite does not keep the next from running.
suite() {
  local name=$1 skipped=$2
  shift 2
  say "$name"
  if ! "$@" 2>&1 </dev/null | tee "$logs/$name.log" || grep -q -E "$skipped" "$logs/$name.log"; then
    failed+=("$name")
  fi
}

build() {
  # The cache of another Python would find that one's torch.
  local torch mark stamp="$repo/build/ci/.asdm-configured" fresh=()
  torch=$("$torch_python" -c 'import sys, torch; print(sys.executable, torch.__version__)')
  mark=$(fingerprint "$repo/CMakePresets.json" "$torch")
  if ! is_stamped "$stamp" "$mark"; then
    [[ ! -f "$repo/build/ci/CMakeCache.txt" ]] || fresh=(--fresh)
    (cd "$repo" && cmake --preset ci "-DPython_EXECUTABLE=$torch_python" "${fresh[@]}")
    echo "$mark" >"$stamp"
  fi
  # g++ maps a precompiled header where it was made, and gives up where that place is taken, which is chance: what is
  # left is built by a second call.
  (cd "$repo" && { cmake --build --preset ci || cmake --build --preset ci; })
}

# Another compiler finds other faults.
build_by_clang() {
  (cd "$repo" && cmake --preset clang "-DPython_EXECUTABLE=$torch_python" -Wno-dev && cmake --build --preset clang)
}

# Kernels that this processor lacks the instructions for may be skipped, and nothing else.
unit_tests() {
  local log="$repo/build/ci/Testing/Temporary/LastTest.log"
  (cd "$repo" && ctest --preset ci --no-tests=error --parallel "$TEST_JOBS") || return 1
  [[ $(grep -c '^\[  SKIPPED \] 1 test' "$log") -eq $(grep -c '^needs kernels of ' "$log") ]] || {
    echo "error: a test was skipped that needs no kernels" >&2
    return 1
  }
}

# python_tests FOLDER HOW: HOW says what may go to another worker (--dist of pytest-xdist).
python_tests() {
  (cd "$repo/tests" && OMP_NUM_THREADS="$TEST_THREADS" "$python" -m pytest --no-skips -n "$TEST_JOBS" --dist "$2" "$1")
}

browser_tests() {
  "$python" "$repo/tests/host/with_server.py" browser npm --prefix "$repo/tests/browser" test
}

# ended LOG STATUS: what a suite told that ran beside another, and how it ended.
ended() {
  cat "$1"
  return "$2"
}

# The closing counts of each runner, once more and together.
summary() {
  say "closing counts"
  grep -h -E 'tests passed|tests failed' "$logs/gtest.log" | sed 's/^/gtest:   /' || true
  local name
  for name in glue host; do
    grep -h -E '^=+ .*(passed|failed|error).* =+$' "$logs/$name.log" | tail -1 | sed "s/^/$name:    /" || true
  done
  grep -h -E '^ℹ (tests|pass|fail|skipped) ' "$logs/browser.log" | tr '\n' ' ' | sed 's/^/browser: /; s/ℹ //g' || true
  echo
}

mkdir -p "$logs"
rm -f "$logs"/*.log
"$repo/scripts/setup.sh" packages browser fuzz venv host
export_environment
# Threads that spin at a barrier take ten times as long where other work wants the cores, as on a small runner.
export OMP_WAIT_POLICY=passive
say "build"
build 2>&1 | tee "$logs/build.log"
suite lint '^skipped' "$repo/scripts/lint.sh"
suite clang 'warning:' build_by_clang
suite gtest '\*\*\*Not Run|\(Disabled\)' unit_tests
suite glue '\[0 items\]' python_tests glue worksteal
suite host '\[0 items\]' python_tests host loadfile
# A browser waits more than it works, and `trust` keeps one core at work.
browser_tests >"$scratch/browser.log" 2>&1 </dev/null &
beside=$! browser_status=0
suite trust 'not measured' "$python" "$repo/tests/benchmarks/trust.py" --short
wait "$beside" || browser_status=$?
suite browser '^ℹ (skipped|todo|cancelled) [1-9]' ended "$scratch/browser.log" "$browser_status"
summary
[[ ${#failed[@]} -eq 0 ]] || fail "failed: ${failed[*]}"
say "all passed"
