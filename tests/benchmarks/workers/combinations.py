"""The rows of combinations/, each group of flags in a fork that begins the host with them.

    combinations.py [PATTERN]     one JSON object a line; PATTERN: of the names that are wanted
"""

import json
import multiprocessing
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "host"))
from support import hosted  # noqa: E402

hosted.declare_torchvision_operators()
# What every host imports: once, in front of the forks.
import scipy.integrate  # noqa: E402, F401
import torch  # noqa: E402
import torch._dynamo  # noqa: E402
import torchvision  # noqa: E402, F401
import transformers  # noqa: E402, F401
from combined import rows  # noqa: E402


def print_rows(flags: tuple[str, ...], pattern: str):
    hosted.start_host(*flags, device="")
    import comfy.cli_args
    comfy.cli_args.args.cpu = True  # which the host does not take beside --lowvram
    made = None
    for heading, one in rows.combinations_of(flags, pattern):
        made, started = made or rows.Rows(hosted.load_pack()), time.process_time()
        sys.stdout.write(json.dumps(made.row(heading, one)) + "\n")
        sys.stdout.flush()
        print(f"{one.name}: {time.process_time() - started:.1f} s of a core", file=sys.stderr, flush=True)


def main():
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    torch.set_num_threads(1)  # the models are too small to share
    for flags in rows.processes(pattern):
        process = multiprocessing.get_context("fork").Process(target=print_rows, args=(flags, pattern))
        process.start()
        process.join()
        if process.exitcode != 0:
            sys.exit(f"the rows under {' '.join(flags)}: exit status {process.exitcode}")


if __name__ == "__main__":
    main()
