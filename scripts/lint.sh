#!/usr/bin/env bash
# Looks at the text of the pack and runs nothing of it: style, who may know whom, sizes, and files that are made from
# others.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$repo"
tools="$own_venv/bin"
[[ -d "$tools" ]] || tools=$(dirname "$torch_python")
failed=()

# check NAME COMMAND...: a failing check does not keep the next from running.
check() {
  local name=$1
  shift
  "$@" || failed+=("$name")
}

cpp_files() { git ls-files -z '*.cpp' '*.h'; }
layout_of_cpp() { cpp_files | xargs -0 "$tools/clang-format" --dry-run --Werror; }

# No file of the product has more than 400 lines.
sizes() {
  local large
  large=$(git ls-files -z native nodes python_glue web | xargs -0 grep -I -c '' | awk -F: '$2 > 400 && $1 !~ /[.]json$/')
  [[ -z "$large" ]] || { echo "more than 400 lines: $large" >&2; return 1; }
}

# ComfyUI owns these module names; a folder of tests that has one of them would stand in its place.
names() {
  local name found=()
  for name in nodes comfy app utils execution server folder_paths; do
    [[ ! -d "tests/$name" ]] || found+=("tests/$name")
  done
  [[ ${#found[@]} -eq 0 ]] || { echo "has the name of a module of ComfyUI: ${found[*]}" >&2; return 1; }
}

# What ruff forbids in the product's Python (pyproject.toml), for the rest of it: other programs, foreign code, the
# network, pickles.
reach() {
  local found
  found=$(
    git grep -nE '\b(system|popen|dlopen|socket|getaddrinfo|fork|exec[lv]p?e?)\(' -- native nodes python_glue || true
    git grep -nE '\beval\(|new Function|XMLHttpRequest|WebSocket|sendBeacon|\bfetch\(' -- 'web/*.js' || true
    git grep -n 'torch\.load(' -- python_glue | grep -v 'weights_only=True' || true
  )
  [[ -z "$found" ]] || { printf 'reaches further than SECURITY.md says:\n%s\n' "$found" >&2; return 1; }
}

# The registry's archive holds what runs.
archive() {
  local lacking
  lacking=$(git ls-files -ci --exclude-from=.comfyignore -- cmake example_workflows locales native nodes python_glue subgraphs web install.py)
  [[ -z "$lacking" ]] || { echo ".comfyignore leaves out: $lacking" >&2; return 1; }
}

check ruff "$tools/ruff" check --quiet .
check clang-format layout_of_cpp
check includes cmake -P cmake/check_includes.cmake
check imports "$tools/lint-imports" --no-logo
check sizes sizes
check names names
check reach reach
check archive archive
check node_table "$torch_python" scripts/node_table.py --check
check docs "$tools/mkdocs" build --quiet
check locales "$torch_python" scripts/locales.py --check
check host_names "$torch_python" scripts/host_names.py --check
[[ ${#failed[@]} -eq 0 ]] || fail "lint: ${failed[*]}"
say "lint passed"
