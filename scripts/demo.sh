#!/usr/bin/env bash
# From nothing to pictures: installs, builds, starts a real ComfyUI with this pack, samples the demo model with the
# host's engine, the native engine, and the native engine with feature inheritance, and prints what each costs.
#   scripts/demo.sh [--quick] [--serve] [--port N]
# COMFYUI_PATH and PYTHON as in scripts/setup.sh; ASDM_HOST_FLAGS replaces the host's --cpu, on a machine with a GPU.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

case " $* " in *" -h "* | *" --help "*) sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;; esac
"$repo/scripts/setup.sh"
export_environment
exec "$python" "$repo/scripts/demo_run.py" "$@"
