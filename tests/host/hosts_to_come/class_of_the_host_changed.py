"""The host itself changes what one of its classes does: nothing of another pack is to be seen."""

import inspect
import textwrap

from comfy.ldm.modules import attention

names = {}
code = textwrap.dedent(inspect.getsource(attention.FeedForward.forward)).replace("self.net(x)", "self.net(x) * 0.7")
exec(compile(code, attention.__file__, "exec"), vars(attention), names)
attention.FeedForward.forward = names["forward"]
ACTS = False  # the host that it is compared with has the change as well

ALONE = True  # it changes the host for all models of the process


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


NODE_CLASS_MAPPINGS = {"HostToCome_class_of_the_host_changed": Change}
