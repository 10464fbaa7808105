"""ComfyUI as the nodes see it: the implementation of nodes/host.h."""

import dataclasses
import json
import weakref

import folder_paths

from . import native
from .loader import load_unet
from .sampling_run import latent_fingerprint
from .seam import install, session_of
from .session import Session, dtype_of
from .unet_config import describe


class ComfyHost:
    """Stateless; a MODEL is a ModelPatcher, a LATENT a dict with "samples"."""

    def list_models(self, folder: str) -> list[str]:
        return folder_paths.get_filename_list(folder)

    def model_path(self, folder: str, name: str) -> str:
        return folder_paths.get_full_path_or_raise(folder, name)

    def load_unet(self, path: str, spec_json: str, weight_dtype: str):
        return load_unet(path, spec_json, dtype_of(weight_dtype))

    def describe_model(self, model) -> dict:
        return describe(model.model)

    def _session(self, model) -> Session:
        """The session `model` already has, or a new one for its structure."""
        session = session_of(model)
        if session is not None:
            return session
        unet = native.native_module().UNet(self.describe_model(model)["spec_json"])
        return Session(unet=unet, base_model=weakref.ref(model.model))

    def _with(self, model, **changes):
        session = dataclasses.replace(self._session(model), reports=Session.new_reports(), **changes)
        session.sites()  # an unknown site is an error of this node, not of the sampler
        clone = model.clone()
        install(clone, session)
        return clone

    def with_native_engine(self, model, options: dict):
        return self._with(model, compute_dtype=dtype_of(options["compute_dtype"]))

    def with_inheritance(self, model, options: dict):
        return self._with(model, inheritance=options)

    def run_report(self, model, latent: dict) -> str:
        session = session_of(model)
        if session is not None:
            wanted = latent_fingerprint(latent["samples"])
            for fingerprint, report in reversed(session.reports):
                if fingerprint == wanted:
                    return json.dumps(report)
        return json.dumps({"found": False})


def comfy_host() -> ComfyHost:
    return ComfyHost()
