# Sourced by the other scripts: where things lie, and which Python and ComfyUI are used.
# COMFYUI_PATH and PYTHON name the caller's own; the defaults are made by setup.sh.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch="$repo/.test"
own_venv="$repo/.venv"
own_host="$repo/.host/ComfyUI"

python="${PYTHON:-$own_venv/bin/python}"
comfy="${COMFYUI_PATH:-$own_host}"

say() { printf '== %s\n' "$*" >&2; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# One hash over files and words, so that a step runs again exactly when something it depends on changed.
fingerprint() {
  local item
  for item in "$@"; do
    if [[ -f "$item" ]]; then sha256sum <"$item"; else printf '%s\n' "$item"; fi
  done | sha256sum | cut -d' ' -f1
}
is_stamped() { [[ -f "$1" && "$(<"$1")" == "$2" ]]; }

# What child processes (pytest, benchmarks, the demo) read.
export_environment() {
  export PYTHON="$python" COMFYUI_PATH="$comfy"
}
