"""One UNet forward of the native engine against the host's own and against peers, on the same weights and inputs, per
dtype. Each runs in a process of its own and they take turns round by round.

The host runs with --use-pytorch-cross-attention, its best attention on CPU. The floor is what the forward's
multiply-accumulates would take at the speed of the fastest convolution measured beside it.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import torch  # noqa: E402
from support import arguments, comparison, competition, measure  # noqa: E402
from support.case import Case  # noqa: E402

DTYPES = {"cpu": ["fp32", "bf16"], "cuda": ["fp16"]}
PEERS = {"cpu": ["openvino"], "cuda": ["compile"]}


def measure_rows(cases: list[Case], peers: list[str], rounds: int) -> list[dict]:
    """`cases` are of one dtype."""
    known = competition.known_competitors(cases[0].device)
    names = ["host", "native", *peers]
    outcomes = competition.compete([known[name] for name in [*names, "convolution"]], cases, rounds, tuple(names))
    rows = [comparison.judged(comparison.compared(case, outcomes[case]), comparison.limits(case)) for case in cases]
    for row in rows:
        print(json.dumps(row), flush=True)
    return rows


def parse_arguments():
    parser = arguments.model_parser(__doc__)
    parser.add_argument("--latent", type=int, nargs="+", default=[64], help="latent height and width")
    parser.add_argument("--batch", type=int, nargs="+", default=[2], help="every batch at every latent size")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtypes", nargs="+", choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--peers", nargs="*", choices=["openvino", "compile"])
    return parser.parse_args()


def main():
    options = parse_arguments()
    peers = PEERS[options.device] if options.peers is None else options.peers
    rows = []
    for dtype in options.dtypes or DTYPES[options.device]:
        cases = [Case(options.model, options.width, dtype, latent, batch, options.threads, options.device)
                 for latent in options.latent for batch in options.batch]
        rows += measure_rows(cases, peers, options.rounds)
    holds = all(row["holds"] for row in rows)
    print(json.dumps({"benchmark": "forward", "model": options.model, "rounds": options.rounds, "holds": holds,
                      "rows": rows, "machine": measure.machine()}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
