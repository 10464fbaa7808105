#!/usr/bin/env bash
# Installs the benchmarks' peers, each into an environment of its own: scripts/bench_peers.sh [NAME...], default all.
# Such an environment lies upon the host's, which may lie upon the main one: it sees torch and the host, and changes
# nothing of theirs. A peer's list names all that it needs besides.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

known_peers() {
  local file
  for file in "$repo"/scripts/requirements-*.txt; do basename "$file" .txt | sed 's/^requirements-//'; done
}

install_peer() {
  local name=$1
  local wanted="$repo/scripts/requirements-$name.txt" home="$scratch/peers/$name" main mark
  [[ -f "$wanted" ]] || fail "no peer '$name'; known: $(known_peers | tr '\n' ' ')"
  main=$(packages_of "$python")
  if [[ "$python" == "$host_venv/bin/python" && "$host_venv" != "$own_venv" ]]; then
    main+=$'\n'$(packages_of "$own_venv/bin/python")
  fi
  mark=$(fingerprint "$wanted" "$main" "$("$python" --version)")
  is_stamped "$home/.asdm-stamp" "$mark" && return 0
  say "installing the peer $name into .test/peers"
  rm -rf "$home"
  "$python" -m venv --without-pip "$home"
  echo "$main" >"$(packages_of "$home/bin/python")/main-environment.pth"
  "$home/bin/python" -m pip install -qq --no-deps -r "$wanted" >&2
  echo "$mark" >"$home/.asdm-stamp"
}

names=("$@")
[[ ${#names[@]} -gt 0 ]] || mapfile -t names < <(known_peers)
for name in "${names[@]}"; do
  install_peer "$name"
done
