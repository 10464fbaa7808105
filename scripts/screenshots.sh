#!/usr/bin/env bash
# Takes the README's pictures of the nodes anew: docs/screenshots, by the browser test that makes them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

"$repo/scripts/setup.sh" packages browser venv host module
export_environment
export ASDM_PICTURES="$repo/docs/screenshots"
"$python" "$repo/tests/host/with_server.py" screenshots npm --prefix "$repo/tests/browser" test -- pictures.test.mjs
