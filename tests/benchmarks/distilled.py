"""The demo model's compressed UNets against the UNet they were taken out of: loss of the noise prediction, pictures of
the same prompts and seeds, time of a forward. Cut without training, calibrated, and the two that the pack ships.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from support import hosted, measure  # noqa: E402  puts tests/host on the path
from support.competition import take_turns  # noqa: E402

from demo_models import SMALL_UNETS  # noqa: E402  isort: skip

PRESET = "s0_s1"
SHIPPED = dict(zip(("distilled", "distilled_me_cond_conv"), SMALL_UNETS, strict=True))
LIMITS = {"gap_recovered": 0.8, "me_cond_conv_cost": 1.03}
BATCH, LOSS_BATCHES, STEPS = 16, 16, 20
SHEET_MODELS = ("teacher", "cut", *SHIPPED)
SHEET_PROMPTS = ["hot dog", "cupcake", "flamingo", "rain cloud", "headphones", "green heart"]


def compressed(pack, teacher, conditioning=None, latent=None):
    given = {"model": teacher, "preset": PRESET, "remove": ""}
    if conditioning is not None:
        given |= {"calibrate": conditioning, "latent": latent}
    return pack.native.native_module().execute("ASDMAssembleUNet", pack.host.comfy_host(), given)["outputs"][0]


def loaded(pack, path: Path):
    host = pack.host.comfy_host()
    model = host.load_unet(str(path), pack.native.native_module().read_unet_file(str(path)), "fp32")
    return host.with_native_engine(model)


def students(pack, demo, teacher) -> dict:
    """MODELs by name, the teacher first."""
    import torch
    from support.demo_model import LATENT, captions
    prompts = captions()[::len(captions()) // 8][:8]
    latent = {"samples": torch.zeros(len(prompts), 4, LATENT, LATENT)}
    models = {"teacher": teacher, "cut": compressed(pack, teacher),
              "calibrated": compressed(pack, teacher, demo.conditioning(prompts), latent)}
    return models | {name: loaded(pack, path) for name, path in SHIPPED.items()}


class Pictures:
    """Prompts with a seed each, and what the teacher draws of them."""

    def __init__(self, demo, teacher, count: int):
        from support.picture_set import batches
        self._demo, self._batches = demo, batches(count, 1, BATCH)
        self.latents = [self._sampled(teacher, batch) for batch in self._batches]
        self.wanted = [demo.decode(latents) for latents in self.latents]

    def _sampled(self, model, batch):
        return self._demo.sample(model, batch.prompts, batch.seeds, "euler", STEPS)

    def scores(self, pack, model) -> list[tuple[float, float]]:
        """(PSNR, SSIM) of each picture that `model` draws against the teacher's."""
        from support.scores import scores
        return [pair for batch, wanted in zip(self._batches, self.wanted, strict=True)
                for pair in scores(pack, wanted, self._demo.decode(self._sampled(model, batch)))]

    def training_data(self, pack, teacher):
        """The teacher's latents with their prompts, to take losses on."""
        import torch
        context = torch.cat([self._demo.conditioning(batch.prompts)[0][0] for batch in self._batches])
        latents = teacher.model.process_latent_in(torch.cat(self.latents).float())
        rows = torch.arange(len(latents)).unsqueeze(1)
        return pack.data.TrainingData(latents=latents, context=context, rows=rows)


def draw_sheet(demo, models: dict, path: Path):
    """One picture for each prompt, a row for each UNet."""
    import torch
    from PIL import Image
    seeds = list(range(len(SHEET_PROMPTS)))
    rows = [torch.cat(list(demo.decode(demo.sample(models[name], SHEET_PROMPTS, seeds, "euler", STEPS))), dim=1)
            for name in SHEET_MODELS]
    Image.fromarray((torch.cat(rows) * 255).round().byte().numpy()).save(path, optimize=True)


def loss_of(pack, teacher, student, batches) -> float:
    training = pack.hosted_training.Training(teacher, student)
    return pack.trainer.task_loss(training.distillation, training.teacher, training.student, batches)


def forward_seconds(models: dict, rounds: int) -> dict:
    """Runs by model, of calls as a sampler makes them: cond and uncond at one time step."""
    import torch
    from support import calls
    from support import models as hosted_models
    from workers.serve import timed
    inputs = {**hosted_models.random_inputs(models["teacher"], 2, 16, 16), "timesteps": torch.full((2,), 500.0)}

    def once(model) -> dict:
        return {"seconds": min(timed(lambda: calls.forward(model, inputs))[1] for _ in range(5))}

    calls.load(*models.values())
    for model in models.values():
        once(model)
    return take_turns({name: lambda model=model: once(model) for name, model in models.items()}, rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--sheet", type=Path, help="writes a picture with a row of samples for each UNet")
    options = parser.parse_args()
    hosted.start_host()
    pack = hosted.load_pack()
    from support.demo_model import DemoModel
    demo = DemoModel(pack)
    teacher = pack.host.comfy_host().with_native_engine(demo.host_model)
    models = students(pack, demo, teacher)
    if options.sheet:
        draw_sheet(demo, models, options.sheet)
    pictures = Pictures(demo, teacher, options.pictures)
    drawn = pack.data.Batches(pictures.training_data(pack, teacher), BATCH, pack.trainer.VALIDATION_SEED,
                                     velocity=False, out_channels=4, balanced=False)
    batches = [drawn.batch(number) for number in range(LOSS_BATCHES)]
    runs = forward_seconds(models, options.rounds)
    rows = [row_of(pack, name, model, teacher, pictures, batches, runs) for name, model in models.items()]
    print(json.dumps(report(rows, options) | {"machine": measure.machine()}))
    return 0 if report(rows, options)["holds"] else 1


def row_of(pack, name, model, teacher, pictures, batches, runs) -> dict:
    scores = pictures.scores(pack, model)
    seconds = [run["seconds"] for run in runs[name]]
    psnr, ssim = (sum(values) / len(scores) for values in zip(*scores, strict=True))
    row = {"model": name, "loss": loss_of(pack, teacher, model, batches), "psnr_db": psnr, "ssim": ssim,
           "speedup": measure.median_ratio([run["seconds"] for run in runs["teacher"]], seconds),
           "over_distilled": measure.median_ratio(seconds, [run["seconds"] for run in runs["distilled"]]),
           **measure.summary(seconds)}
    print(row, file=sys.stderr, flush=True)
    return row


def report(rows: list[dict], options) -> dict:
    by_name = {row["model"]: row for row in rows}
    gap = by_name["cut"]["loss"] - by_name["teacher"]["loss"]
    for row in rows:
        row["gap_recovered"] = (by_name["cut"]["loss"] - row["loss"]) / gap
    plain, mixed = (by_name[name] for name in SHIPPED)
    out = {"benchmark": "distilled", "preset": PRESET, "pictures": options.pictures, "steps": STEPS, "limits": LIMITS,
           "rows": rows, "gap_recovered": plain["gap_recovered"],
           "me_cond_conv_cost": mixed["over_distilled"],
           "me_cond_conv_gain_db": mixed["psnr_db"] - plain["psnr_db"]}
    out["holds"] = (out["gap_recovered"] >= LIMITS["gap_recovered"] and mixed["loss"] < plain["loss"]
                    and out["me_cond_conv_cost"] <= LIMITS["me_cond_conv_cost"])
    return out


if __name__ == "__main__":
    sys.exit(main())
