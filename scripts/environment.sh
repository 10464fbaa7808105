# Sourced by the other scripts: where things lie, and which Python and ComfyUI are used.
# COMFYUI_PATH and PYTHON name the caller's own; the defaults are made by setup.sh. A ComfyUI of the caller's without a
# Python gets an environment of its own, which lies upon ours and takes torch and the tools from there.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch="$repo/.test"
own_venv="$repo/.venv"
own_host="$repo/.host/ComfyUI"

comfy=$own_host
[[ -z "${COMFYUI_PATH:-}" ]] || comfy=$(realpath -m -- "$COMFYUI_PATH")  # tests and servers run in other folders

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

# Where the Python packages of an environment lie.
packages_of() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

# The environment of the host; hosts that ask for the same packages share one.
host_venv() {
  local mark
  if [[ "$comfy" == "$own_host" || "$comfy" -ef "$own_host" ]]; then
    echo "$own_venv"
  else
    mark=$(fingerprint "$comfy/requirements.txt")
    echo "$scratch/venvs/${mark:0:12}"
  fi
}

host_venv=$(host_venv)
python="${PYTHON:-$host_venv/bin/python}"         # runs the host, the tests and the demo
torch_python="${PYTHON:-$own_venv/bin/python}"    # builds the module: all environments of ours have this one's torch

# What child processes (pytest, benchmarks, the demo) read.
export_environment() {
  export PYTHON="$python" COMFYUI_PATH="$comfy"
  # Tests run side by side, one to a core: the models in them are too small for threads to share the work well. More
  # processes than these would want more memory than gain time.
  export TEST_JOBS=$(($(nproc) < 8 ? $(nproc) : 8))
  export TEST_THREADS=$(($(nproc) / TEST_JOBS))
}
