"""`prompts.py COUNT SEED`: random prompts on a real server, one after the other. Each ends well, or with an error that
says what is wrong with it; each tenth is followed by known graphs, without inheritance and with it, which give the bits
that they gave first. The figures so far then stand on stdout as a line of JSON; prompts that end otherwise lie in
.test/trust/prompts.
"""

import hashlib
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.hosted import ROOT  # noqa: E402

sys.path.insert(0, str(ROOT / "tests" / "host"))
from comfy_client import ComfyClient, PromptRefused  # noqa: E402
from comfy_server import ComfyServer, make_base_directory  # noqa: E402
from demo_models import UNET, demo_models  # noqa: E402
from graphs import Graph  # noqa: E402
from support import random_graphs  # noqa: E402

FOUND = ROOT / ".test" / "trust" / "prompts"
BETWEEN = 10  # prompts from one known run to the next
# What the pack and the host raise where an input is wrong; all else is a fault in the code that ran.
SAID = ("ValueError", "RuntimeError", "SafetensorError", "FileNotFoundError")
OURS = "python_glue"  # in the stack of an error: it came out of the pack


class QueuedPrompts:
    def __init__(self, server):
        self._server = server
        self._client = ComfyClient(server.address)
        self.counts = Counter()
        self._known = self._bits()

    def run(self, prompt: dict):
        self.counts["prompts"] += 1
        fault = self._fault_of(prompt)
        if fault is not None:
            FOUND.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(json.dumps(prompt).encode()).hexdigest()[:12]
            (FOUND / f"{name}.json").write_text(json.dumps({"fault": fault, "prompt": prompt}, indent=1))
            print(f"{name}: {fault['type']}: {fault['message'][:300]}", file=sys.stderr, flush=True)
        if self.counts["prompts"] % BETWEEN == 0:
            self.counts.update(known_runs=1, corrupted=self._bits() != self._known)
            print(json.dumps({"crashes": 0, "unexplained": 0, **self.counts}), flush=True)

    def _fault_of(self, prompt: dict) -> dict | None:
        """What of it is a fault of the code; None for a prompt that ended well or was refused in words."""
        try:
            ended = self._client.run(prompt)
        except PromptRefused:
            self.counts["refused"] += 1
            return None
        except (ConnectionError, OSError) as error:
            self.counts["crashes"] += 1
            if not self._server.is_alive():
                log = self._server.log()[-3000:]
                raise RuntimeError(f"the server ended at {json.dumps(prompt)}:\n{log}") from error
            return {"type": type(error).__name__, "message": str(error)}
        self.counts[ended.status] += 1
        if ended.status != "error":
            return None
        kind, message = ended.error["exception_type"].split(".")[-1], ended.error["exception_message"]
        ours = any(OURS in line for line in ended.error.get("traceback", []))
        # An error of the pack's own says what was expected and what came; one of torch's out of it does not.
        if kind in SAID and (not ours or ("expected" in message and "got" in message)):
            return None
        ours = ours and not self._host_fails_alike(prompt, kind, message)
        self.counts["unexplained" if ours else "unexplained_by_host"] += 1
        return {"type": kind, "message": message, "node": ended.error["node_type"], "ours": ours,
                "traceback": ended.error.get("traceback")}

    def _host_fails_alike(self, prompt: dict, kind: str, message: str) -> bool:
        """Whether the prompt ends with that error in the host's own code, too."""
        try:
            ended = self._client.run(random_graphs.without_the_engine(prompt))
        except PromptRefused:
            return False
        return (ended.status == "error" and ended.error["exception_type"].split(".")[-1] == kind
                and ended.error["exception_message"] == message)

    def _bits(self) -> list[str]:
        """Of the latents of the known graphs, sampled anew."""
        graph = Graph()
        native = graph.load_unet(weight_dtype="fp32")
        saved = [graph.save_latent(graph.sample_text(model, "known", size=random_graphs.SIZE, steps=3))
                 for model in (native, graph.inherit(native))]
        ended = self._client.run(graph.prompt)
        if ended.status != "success":
            raise RuntimeError(f"a known graph ended with {ended.error}")
        return [hashlib.sha256(self._file(ended.outputs[one]["latents"][0]).read_bytes()[-4096:]).hexdigest()
                for one in saved]

    def _file(self, entry: dict) -> Path:
        return self._server.base_directory / entry["type"] / entry["subfolder"] / entry["filename"]


def run(count: int, seed: int):
    """Queues so many prompts; the figures after each tenth, as lines of JSON on stdout."""
    import hypothesis
    from hypothesis import HealthCheck, Phase, given, settings

    with tempfile.TemporaryDirectory() as folder:
        models = demo_models()
        for kind, files in random_graphs.models_beside(Path(folder), UNET).items():
            models[kind] = [*models[kind], *files]
        with ComfyServer(make_base_directory("trust-prompts", models)) as server:
            queued = QueuedPrompts(server)

            @settings(max_examples=count, deadline=None, phases=[Phase.generate], database=None,
                      suppress_health_check=list(HealthCheck))
            @hypothesis.seed(seed)
            @given(random_graphs.prompts(Graph))
            def end_well_or_say_why(prompt):
                queued.run(prompt)

            end_well_or_say_why()


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]))
