"""The host's dynamic VRAM without a GPU: pages in ordinary memory, under the terms of comfy-aimdo's."""

import ctypes

import torch

PAGE = 1 << 16


class PagedMemory:
    """What comfy-aimdo's ModelVBAR is: addresses whose pages come and go. `most`: pages at a time."""

    def __init__(self, size: int, most: int | None = None):
        self.base_addr = 1 << 40
        self.most = size // PAGE + 1 if most is None else most
        self.memory = torch.zeros(size, dtype=torch.uint8)
        self.offset = 0
        self.faults = 0
        self._born = {}  # page -> when it came
        self._pins = {}  # page -> how often it is pinned
        self._clock = 0

    def alloc(self, size: int) -> tuple:
        self.offset = (self.offset + 511) & ~511
        address = self.base_addr + self.offset
        self.offset += size
        return self, address, size

    def _pages_of(self, address: int, size: int) -> range:
        first = address - self.base_addr
        return range(first // PAGE, (first + size - 1) // PAGE + 1)

    def fault(self, address: int, size: int):
        """The signature of what is there, pinned; None where memory is short."""
        self.faults += 1
        pages = self._pages_of(address, size)
        if len(self._born.keys() | set(pages)) > self.most:
            return None
        for page in pages:
            if page not in self._born:
                self._clock += 1
                self._born[page] = self._clock
                self.memory[page * PAGE:(page + 1) * PAGE] = 0xFF  # whatever was there: half-precision NaN
            self._pins[page] = self._pins.get(page, 0) + 1
        return (ctypes.c_uint32 * len(pages))(*(self._born[page] for page in pages))

    def unpin(self, address: int, size: int):
        for page in self._pages_of(address, size):
            assert self._pins[page] > 0, "unpinned once more than it was pinned"
            self._pins[page] -= 1

    @property
    def pinned(self) -> int:
        return sum(self._pins.values())

    def take_back(self, page: int):
        """As the host does where it needs the memory for something else."""
        assert not self._pins.get(page), "a pinned page was taken back"
        self._born.pop(page, None)
        self.memory[page * PAGE:(page + 1) * PAGE] = 0xFF

    def prioritize(self):
        """Another model's pages would be taken back first; here is no other."""

    def loaded_size(self) -> int:
        return len(self._born) * PAGE

    def free_memory(self, size: float) -> int:
        """Takes back what is not pinned, from the end, until that makes `size` bytes; those that it makes."""
        freed = 0
        for page in sorted(self._born, reverse=True):
            if freed < size and not self._pins.get(page):
                self.take_back(page)
                freed += PAGE
        return freed

    def view(self, address: int, size: int) -> torch.Tensor:
        return self.memory[address - self.base_addr:address - self.base_addr + size]


class PageCalls:
    """comfy_aimdo.model_vbar."""

    @staticmethod
    def vbar_fault(page):
        return page[0].fault(page[1], page[2])

    @staticmethod
    def vbar_unpin(page):
        page[0].unpin(page[1], page[2])

    @staticmethod
    def vbar_signature_compare(a, b) -> bool:
        if a is None or b is None:
            return False
        if len(a) != len(b):
            raise ValueError(f"Signatures of mismatched length {len(a)} != {len(b)}")
        return memoryview(a) == memoryview(b)


def put_into_pages(monkeypatch, leaves: list, most: int | None = None) -> PagedMemory:
    """The weights of `leaves` in pages of their own from now on, filled where the host is asked for them."""
    sizes = [sum(t.numel() * t.element_size() for t in (leaf.weight, leaf.bias) if t is not None) for leaf in leaves]
    memory = PagedMemory(sum(sizes) + 512 * len(sizes) + PAGE, most)
    for leaf, size in zip(leaves, sizes, strict=True):
        monkeypatch.setattr(leaf, "_v", memory.alloc(size), raising=False)
        monkeypatch.setattr(leaf, "_v_signature", None, raising=False)
        monkeypatch.setattr(leaf, "_v_weight", None, raising=False)
        monkeypatch.setattr(leaf, "_v_bias", None, raising=False)
    return memory


class CastsFromPages:
    """comfy.ops.cast_bias_weight for leaves in pages, in the order in which newer hosts do it."""

    def __init__(self, plain):
        self._plain = plain
        self.calls = 0

    def __call__(self, leaf, input=None, *arguments, offloadable=False, **named):
        if not hasattr(leaf, "_v"):
            return self._plain(leaf, input, *arguments, offloadable=offloadable, **named)
        self.calls += 1
        signature = PageCalls.vbar_fault(leaf._v)
        if not PageCalls.vbar_signature_compare(signature, leaf._v_signature):
            self._fill(leaf, signature)
        weight, bias = (leaf.weight, leaf.bias) if signature is None else (leaf._v_weight, leaf._v_bias)
        result = weight.detach(), None if bias is None else bias.detach()
        return (*result, (None, None if signature is None else weight.device, None)) if offloadable else result

    @staticmethod
    def _fill(leaf, signature):
        if signature is not None:
            memory, address, _ = leaf._v
            tensors = []
            for tensor in (leaf.weight, leaf.bias):
                if tensor is None:
                    tensors.append(None)
                    continue
                size = tensor.numel() * tensor.element_size()
                tensors.append(memory.view(address, size).view(tensor.dtype).view(tensor.shape).copy_(tensor))
                address += size
            leaf._v_weight, leaf._v_bias = tensors
        leaf._v_signature = signature


def uncast(leaf, weight, bias, stream):
    """comfy.ops.uncast_bias_weight for the same."""
    if stream is not None and stream[1] is not None:
        PageCalls.vbar_unpin(leaf._v)
