"""Weights that the host keeps in pages of a device (dynamic VRAM): it fills a page where a leaf is used, and takes
pages back where memory is short.

What lies in a page stays as it is for as long as the page's signature does, and nobody takes a pinned page back. So a
call that finds every page filled pins them all and reads the weights where they lie, without asking the host for each
leaf. Not yet measured on a GPU.
"""

try:
    from comfy_aimdo import model_vbar
except ImportError:  # an older host: no leaf lies in pages
    model_vbar = None

_MOST_TRIES = 3  # in a run: where pages come and go, looking at each costs more than it gives


def is_paged(leaf) -> bool:
    """Whether the effective weight of a leaf is what its page holds, once that is filled."""
    return hasattr(leaf, "_v") and not leaf.weight_function and not leaf.bias_function


class PagedWeights:
    """The pages of the leaves of one UNet, for calls on `device` one after the other."""

    def __init__(self, leaves: list, device):
        self._leaves = leaves
        self._device = device
        self._stretches = _stretches(leaves)
        self._signatures = None  # of the stretches, when all in them was filled
        self._pinned = []
        self._tries = 0
        self._room = {}  # by shape of x
        self.fillings = 0  # how often all pages were found filled anew: weights may lie elsewhere since

    def tensors(self) -> list[tuple]:
        """(weight, bias) of each leaf, while pinned."""
        return [(leaf._v_weight, leaf._v_bias) for leaf in self._leaves]

    def pin(self, shape: tuple, room) -> bool:
        """Pins all pages for a call on an input of `shape`; False, with nothing pinned, where one is not filled or
        where `room(bytes of the pages)` says that the call would lack the memory."""
        if shape not in self._room:
            self._room[shape] = room(sum(size for _, _, size in self._stretches))
        return self._room[shape] and (self._pin_known() or self._pin_found())

    def unpin(self):
        """Gives back what pin() took."""
        while self._pinned:
            model_vbar.vbar_unpin(self._pinned.pop())

    def _fault(self, page):
        """The signature of `page`, which is pinned then; None where there is no memory for it."""
        signature = model_vbar.vbar_fault(page)
        if signature is not None:
            self._pinned.append(page)
        return signature

    def _pin_known(self) -> bool:
        """The stretches as they were found before."""
        if self._signatures is None:
            return False
        now = [self._fault(stretch) for stretch in self._stretches]
        if all(map(model_vbar.vbar_signature_compare, now, self._signatures)):
            return True
        self.unpin()
        self._signatures = None
        return False

    def _pin_found(self) -> bool:
        """Leaf by leaf; what a leaf's page holds is what the host left there when it was used last."""
        if self._tries == _MOST_TRIES or not all(map(self._is_filled, self._leaves)):
            return False
        self._tries += 1
        if all(model_vbar.vbar_signature_compare(self._fault(leaf._v), leaf._v_signature) for leaf in self._leaves):
            found = [self._fault(stretch) for stretch in self._stretches]
            if None not in found:
                self._signatures = found
                self.fillings += 1
                return True
        self.unpin()
        return False

    def _is_filled(self, leaf) -> bool:
        weight = getattr(leaf, "_v_weight", None)
        return weight is not None and leaf._v_signature is not None and weight.device == self._device


def _stretches(leaves: list) -> list[tuple]:
    """The pages of `leaves` as one (owner, address, bytes) for each owner: the host lays out a model's one after the
    other."""
    found = {}
    for owner, address, size in (leaf._v for leaf in leaves):
        first, end = found.get(id(owner), (owner, address, address + size))[1:]
        found[id(owner)] = (owner, min(first, address), max(end, address + size))
    return [(owner, first, end - first) for owner, first, end in found.values()]
