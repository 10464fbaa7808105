"""A guider that calls the model for itself: none of the wrappers around the prediction run."""

import comfy.samplers

ACTS = False


class guider(comfy.samplers.CFGGuider):  # noqa: N801  the name under which tests look for it
    def __call__(self, *arguments, **named):
        return self.predict(*arguments, **named)

    def predict(self, x, timestep, model_options=None, seed=None):
        return comfy.samplers.sampling_function(self.inner_model, x, timestep, self.conds.get("negative"),
                                                self.conds.get("positive"), self.cfg, model_options=model_options,
                                                seed=seed)


class Change:
    """MODEL -> MODEL"""

    FUNCTION = "change"
    RETURN_TYPES = ("MODEL",)
    CATEGORY = "hosts to come"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",)}}

    def change(self, model):
        return (model.clone(),)


NODE_CLASS_MAPPINGS = {"HostToCome_guider_without_predict_noise": Change}
