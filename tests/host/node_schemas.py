"""The schemas of the nodes, as they lie in the pack: read by the script that writes them."""

import sys

from comfy_server import REPO

sys.path.append(str(REPO / "scripts"))
from node_table import read_schemas  # noqa: E402, F401
