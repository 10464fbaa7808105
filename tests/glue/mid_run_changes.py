"""Changes of the host's UNet in the middle of a run, and what is left of them afterwards: nothing."""

from contextlib import contextmanager

import torch

RUN = {"steps": 3, "latent": torch.zeros(1, 4, 8, 8), "cfg": 2.0}
EXACT = 2e-6  # relative L2
LEAST_EFFECT = 2e-5  # of a change; a smaller one was not there


def parts(unet, name: str):
    return [part for part in unet.modules() if type(part).__name__ == name]


def leaves(unet, ending: str):
    return [part for name, part in unet.named_modules() if name.endswith(ending)]


def settings_of(name: str, ending: str, **changed):
    def change(unet, patch):
        found = parts(unet, name) if not ending else leaves(unet, ending)
        assert found
        for part in found:
            for attribute, value in changed.items():
                setattr(part, attribute, value(part) if callable(value) else value)
    return change


def on_instance(kind: str, name: str, index: int = -1):
    def change(unet, patch):
        part = parts(unet, kind)[index]
        original = getattr(part, name)
        setattr(part, name, lambda *arguments, **named: original(*arguments, **named) * 2.0)
    return change


def on_class(get_owner, name: str):
    def change(unet, patch):
        owner = get_owner()
        original = getattr(owner, name)

        def replaced(*arguments, **named):
            return original(*arguments, **named) * 2.0
        patch.setattr(owner, name, replaced)
    return change


def openaimodel():
    from comfy.ldm.modules.diffusionmodules import openaimodel
    return openaimodel


def attention():
    from comfy.ldm.modules import attention
    return attention


def ops():
    import comfy.ops
    return comfy.ops


class Patch:
    """monkeypatch, and what else is to be undone."""

    def __init__(self, monkeypatch):
        self.setattr = monkeypatch.setattr
        self.undone = []

    def callback(self, undo):
        self.undone.append(undo)


TABLES = ("_parameters", "_modules", "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_pre_hooks",
          "_forward_pre_hooks_with_kwargs")


@contextmanager
def restored(unet):
    """All modules of `unet` are afterwards what they were."""
    def tables(part):
        return part.__dict__, *(getattr(part, name) for name in TABLES)
    saved = [(part, type(part), [(table, dict(table)) for table in tables(part)]) for part in unet.modules()]
    values = [(parameter, parameter.data, parameter.data.clone()) for parameter in unet.parameters()]
    try:
        yield
    finally:
        for part, kind, kept in saved:
            part.__class__ = kind
            for table, entries in kept:
                table.clear()
                table.update(entries)
        for parameter, data, value in values:
            parameter.data = data.copy_(value)


def sampled(hosted, monkeypatch, model, change):
    """(latent, report) of a run of `model`, with `change` made behind its first step."""
    unet = hosted.patcher.model.diffusion_model
    with monkeypatch.context() as patched, restored(unet):
        patch = Patch(patched)
        try:
            return hosted.sampled(model, **RUN, callback=lambda step, *_: step or change(unet, patch))
        finally:
            for undo in patch.undone:
                undo()
