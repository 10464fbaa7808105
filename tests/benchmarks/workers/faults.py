"""Faults at every seam of a run, in the real host: after each the process lives, and known runs give the bits that they
gave before. A fault may end its run with an error; a run that ends without one must have the right bits too.

`faults.py COUNT SEED`: so many faults of all kinds in turns; the figures so far, behind each, as lines of JSON on
stdout. A fault that was not survived is told on stderr by its kind and its own seed.
"""

import ctypes
import json
import random
import resource
import shutil
import sys
import tempfile
import threading
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import torch  # noqa: E402
from support import calls, models  # noqa: E402
from support.small_runs import STEPS, SmallRuns, sample  # noqa: E402

HOST_ERROR = 1e-5  # relative L2 to the host's own result, without inheritance
PLACES = ("attn1_patch", "attn2_patch", "input_block_patch", "output_block_patch", "attn1_output_patch")
FIGURES = ("faults_injected", "faults_survived", "corrupted", "silently_wrong")
BLOCKS = 25  # calls of a patch in one evaluation are at most so many


class Injected(RuntimeError):
    """What another pack's code may raise."""


class Faults:
    def __init__(self, runs: SmallRuns, folder: Path):
        from safetensors.torch import save_file
        self.runs = runs
        self._folder = folder
        self._file = folder / "whole.safetensors"  # written before any LoRA is on the weights
        save_file(dict(runs.stock["sd15"].model.diffusion_model.state_dict()), self._file)
        native = runs.native["sd15"]
        self._known = {"exact": native, "inheriting": runs.inheriting(native), "lora": runs.with_lora(native)}
        self.expected = {name: sample(model) for name, model in self._known.items()}
        self.kinds = {name.removeprefix("_fault_"): getattr(self, name) for name in dir(self)
                      if name.startswith("_fault_")}

    def host_distance(self) -> float:
        """Of the exact known run to the host's own."""
        stock = sample(self.runs.stock["sd15"])
        return float((self.expected["exact"] - stock).norm() / stock.norm())

    def wrong(self) -> list[str]:
        """The known runs whose bits are not those that they were."""
        return [name for name, model in self._known.items() if not torch.equal(sample(model), self.expected[name])]

    def _model(self, draw: random.Random):
        name = draw.choice(list(self._known))
        return name, self._known[name].clone()

    def _sampled(self, name: str, model, **options) -> bool:
        """Whether a run that came to its end has the bits of the known one."""
        return torch.equal(sample(model, **options), self.expected[name])

    # Each of these makes one fault. What it raises, or whether it gave the right bits, is the caller's to judge.

    def _fault_exception_in_a_patch(self, draw):
        name, model = self._model(draw)
        left = draw.randrange(BLOCKS)

        def fail(*arguments):
            nonlocal left
            left -= 1
            if left < 0:
                raise draw.choice([Injected("a patch failed"), torch.OutOfMemoryError("no memory in a patch")])
            return arguments[0]

        place = draw.choice(PLACES)
        getattr(model, f"set_model_{place}")(_shaped(place, fail))
        return self._sampled(name, model)

    def _fault_exception_in_a_wrapper(self, draw):
        name, model = self._model(draw)
        at, calls_made = draw.randrange(STEPS), 0

        def wrapper(apply_model, arguments):
            nonlocal calls_made
            calls_made += 1
            out = apply_model(arguments["input"], arguments["timestep"], **arguments["c"])
            if calls_made > at:
                raise Injected("a wrapper failed behind the call")
            return out

        model.set_model_unet_function_wrapper(wrapper)
        return self._sampled(name, model)

    def _fault_exception_in_the_callback(self, draw):
        name, model = self._model(draw)
        at = draw.randrange(STEPS)

        def callback(step, *_):
            if step >= at:
                raise Injected("a callback failed")

        return self._sampled(name, model, callback=callback)

    def _fault_interrupt_at_a_layer(self, draw):
        import comfy.model_management
        name, model = self._model(draw)
        left = draw.randrange(STEPS * 3)

        def interrupt(q, k, v, options):
            nonlocal left
            left -= 1
            if left < 0:
                comfy.model_management.interrupt_current_processing()
            return q, k, v

        model.set_model_attn2_patch(interrupt)
        return self._ended_with_interrupt(name, model)

    def _fault_interrupt_by_another_thread(self, draw):
        import comfy.model_management
        name, model = self._model(draw)
        timer = threading.Timer(draw.uniform(0, 0.5), comfy.model_management.interrupt_current_processing)
        timer.start()
        try:
            return self._ended_with_interrupt(name, model)
        finally:
            timer.join()
            comfy.model_management.interrupt_current_processing(False)

    def _ended_with_interrupt(self, name, model) -> bool:
        import comfy.model_management
        try:
            return self._sampled(name, model)
        finally:
            comfy.model_management.interrupt_current_processing(False)

    def _fault_memory_ends_in_a_layer(self, draw):
        """The process may have so much more memory than it has, and then less and less of it, until a run fails."""
        _, model = self._model(draw)
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        latent, more = draw.randrange(24, 40, 8), draw.randrange(1 << 20, 16 << 20)
        while more:
            more //= 4
            ctypes.CDLL(None).malloc_trim(0)  # or the run would live on what it had before
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + more, hard))
            try:
                ended = sample(model, size=latent, steps=1)
            finally:
                resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            if not torch.equal(ended, sample(model, size=latent, steps=1)):
                return False
        return True

    def _fault_no_memory_for_a_weight(self, draw):
        """Weights are cast at their use, and one of the casts finds no memory."""
        import comfy.ops
        name, model = self._model(draw)
        cast, left = comfy.ops.cast_bias_weight, draw.randrange(400)

        def failing(*arguments, **options):
            nonlocal left
            left -= 1
            if left < 0:
                raise torch.OutOfMemoryError("no memory for a weight")
            return cast(*arguments, **options)

        calls.load(model, offload=True)
        comfy.ops.cast_bias_weight = failing
        try:
            inputs = models.random_inputs(model, height=8, width=8)
            return bool(torch.isfinite(calls.forward(model, inputs)).all())
        finally:
            comfy.ops.cast_bias_weight = cast
            calls.unload(model)

    def _fault_models_unloaded_in_mid_run(self, draw):
        import comfy.model_management
        name = draw.choice(["exact", "inheriting"])  # the host takes a LoRA off with the model, in its own runs too
        at = draw.randrange(STEPS)

        def callback(step, *_):
            if step == at:
                comfy.model_management.unload_all_models()

        return self._sampled(name, self._known[name], callback=callback)

    def _fault_models_unloaded_in_mid_queue(self, draw):
        import comfy.model_management
        name, model = self._model(draw)
        right = self._sampled(name, model)
        comfy.model_management.unload_all_models()
        comfy.model_management.free_memory(1e30, torch.device("cpu"))
        comfy.model_management.soft_empty_cache()
        return self._sampled(name, model) and right

    def _file_of(self, name: str) -> Path:
        return Path(shutil.copy(self._file, self._folder / f"{name}.safetensors"))

    def _loaded(self, path: Path):
        folder = type(self.runs.host)

        class OneFile(folder):
            def list_models(self, kind):
                return [path.name]

            def model_path(self, kind, name):
                return str(path)

        inputs = {"unet_name": path.name, "weight_dtype": "default", "engine": "native"}
        return self.runs.pack.native.native_module().execute("ASDMLoadUNet", OneFile(), inputs)["outputs"][0]

    def _fault_file_removed_in_use(self, draw):
        path = self._file_of("removed")
        model = self._loaded(path)
        path.unlink()
        return self._sampled("exact", model)

    def _fault_file_replaced_in_use(self, draw):
        path = self._file_of("replaced")
        model = self._loaded(path)
        other = path.with_suffix(".other")
        other.write_bytes(draw.randbytes(4096))
        other.replace(path)
        right = self._sampled("exact", model)
        self._loaded(path)  # names the file
        return right

    def _fault_file_cut_in_use(self, draw):
        path = self._file_of("cut_in_use")
        model = self._loaded(path)
        with path.open("r+b") as file:
            file.truncate(draw.randrange(path.stat().st_size))
        return self._sampled("exact", model)

    def _fault_file_cut_short(self, draw):
        path = self._file_of("cut")
        with path.open("r+b") as file:
            file.truncate(draw.randrange(path.stat().st_size))
        return self._sampled("exact", self._loaded(path))

    def _fault_disk_full(self, draw):
        """A file may be no larger than some size below that of the UNet, as on a disk that is full from there on."""
        import folder_paths
        folder_paths.set_output_directory(str(self._folder))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (draw.randrange(1 << 10, 1 << 20), hard))
        try:
            self.runs.host.save_unet(self.runs.native["sd15"], "full")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            left = [path.name for path in self._folder.glob("full*")]
            if left:
                raise AssertionError(f"expected no file that is not whole, got {left}")
        return False

    def _fault_two_threads(self, draw):
        """Calls on one model, or on two, at once."""
        pair = draw.choice([("sd15", "sd15"), ("sd15", "s0_s1")])
        loaded = [self.runs.native[name] for name in pair]
        calls.load(*loaded)
        inputs = models.random_inputs(loaded[0], height=8, width=8)
        alone = [calls.forward(model, inputs) for model in loaded]
        together: dict = {}
        threads = [threading.Thread(target=lambda i=i: together.update(
            {i: [calls.forward(loaded[i], inputs) for _ in range(3)]})) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return all(torch.equal(one, alone[i]) for i in range(2) for one in together[i])


def _shaped(place: str, fail):
    """`fail` with the arguments that the host gives to patches of that place."""
    if place == "output_block_patch":
        return lambda h, hsp, options: (fail(h, options), hsp)
    if place in ("attn1_patch", "attn2_patch"):
        return lambda q, k, v, options: (fail(q, options), k, v)
    return lambda h, options: fail(h, options)


def inject(faults: Faults, kind: str, seed: str) -> dict:
    """What became of one fault, and of the known runs behind it."""
    found = Counter()
    try:
        found["silently_wrong"] += not faults.kinds[kind](random.Random(seed))
    except AssertionError:
        traceback.print_exc()
        found["corrupted"] = 1
    except BaseException as error:  # the host's own interrupt is no Exception
        found[type(error).__name__] = 1
        del error
    wrong = faults.wrong()
    if wrong or found["corrupted"] or found["silently_wrong"]:
        print(f"not survived: {kind}, seed {seed}: {dict(found)}, known runs that differ: {wrong}", file=sys.stderr)
    found["corrupted"] += bool(wrong)
    return +found


def main(count: int, seed: int):
    with tempfile.TemporaryDirectory() as folder:
        faults = Faults(SmallRuns(), Path(folder))
        distance = faults.host_distance()
        total, kinds = Counter(silently_wrong=int(distance > HOST_ERROR)), {}
        for number in range(count):
            kind = list(faults.kinds)[number % len(faults.kinds)]
            found = inject(faults, kind, f"{seed}-{number}")
            total.update(found, faults_injected=1, faults_survived=not (found["corrupted"] or found["silently_wrong"]))
            kinds.setdefault(kind, Counter()).update({"injected": 1, **found})
            figures = {word: total[word] for word in FIGURES}
            print(json.dumps({**figures, "crashes": 0, "host_distance": distance, "kinds": kinds}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
