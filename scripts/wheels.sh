#!/usr/bin/env bash
# Builds wheels, one for each torch and Python asked for, and tries each in a fresh environment: it imports, and runs the demo UNet to
# what the first one gave.
#   scripts/wheels.sh [TORCH[/PYTHON]...]     default: 2.13.0 2.14.1, with python3
# WHEELS=DIR  where they go; default: .whl/dist
# A wheel's version carries its torch (0.1.0+torch2.13.0), as the module loads with that one alone. install.py takes one that fits
# before it builds.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

dist=$(realpath -m -- "${WHEELS:-$repo/.whl/dist}")
work="$repo/.whl"
unet="$repo/demo/weights/asdm_demo_unet.safetensors"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$repo/pyproject.toml")
constraints="$work/constraints.txt"

# Where an environment has its programs.
programs() { if [[ -d "$1/Scripts" ]]; then echo "$1/Scripts"; else echo "$1/bin"; fi; }

# environment DIR PYTHON PACKAGE...: a fresh one that holds these.
environment() {
  local folder=$1 program=$2
  shift 2
  rm -rf "$folder"
  "$program" -m venv "$folder"
  "$(programs "$folder")/python" -m pip install -qq -c "$constraints" "$@" >&2
}

# The sources as they stand, under the version that names the torch.
sources() {
  local folder=$1 local_version=$2
  rm -rf "$folder"
  mkdir -p "$folder"
  git -C "$repo" ls-files -z -- . ':!demo' ':!tests' ':!docs/benchmarks' |
    tar -C "$repo" --null -T - --ignore-failed-read -cf - | tar -C "$folder" -xf -
  sed -i "s/^version = .*/version = \"$local_version\"/" "$folder/pyproject.toml"
}

build_wheel() {
  local torch=$1 program=$2 name=$3
  say "building for torch $torch with $("$program" --version)"
  environment "$work/build-$name" "$program" "torch==$torch" scikit-build-core ninja
  sources "$work/sources" "$version+torch$torch"
  PATH="$(programs "$work/build-$name"):$PATH" python -m pip wheel -qq --no-build-isolation --no-deps -w "$dist" \
    "$work/sources" >&2
  rm -rf "$work/sources"
}

try_wheel() {
  local torch=$1 program=$2 name=$3 first=$4
  environment "$work/try-$name" "$program" "torch==$torch" numpy safetensors
  local tried
  tried="$(programs "$work/try-$name")/python"
  "$tried" -m pip install -qq --no-deps --no-index --find-links "$dist" "comfyui-asdm==$version+torch$torch" >&2
  # From a folder that has no sources of the pack in it.
  (cd "$work" && "$tried" "$repo/scripts/wheel_run.py" "$unet" "$work/$name.safetensors" \
    ${first:+"$first"})
}

mkdir -p "$dist"
grep -v -E '^torch(vision|audio)?==' "$repo/scripts/constraints.txt" >"$constraints"
wanted=("$@")
[[ ${#wanted[@]} -gt 0 ]] || wanted=(2.13.0 2.14.1)
first=""
for pair in "${wanted[@]}"; do
  torch=${pair%%/*}
  program=python3
  [[ "$pair" != */* ]] || program=${pair#*/}
  name="torch$torch-$("$program" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')"
  build_wheel "$torch" "$program" "$name"
  try_wheel "$torch" "$program" "$name" "$first"
  first=${first:-$work/$name.safetensors}
  rm -rf "$work/build-$name" "$work/try-$name"  # gigabytes, where torch brings CUDA
done
ls -l "$dist"
