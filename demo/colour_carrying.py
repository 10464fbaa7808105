"""First weights with which the autoencoder carries the colours from the start.

Three latent channels are the mean colours of 8x8 px and are painted as such. Training begins at 22 dB on scenes and
spends itself on what is finer; from weights of chance it has to find the broad colours first, and that took most of it.
"""
import torch

CENTRE = [(1, 1)]  # of a 3x3 kernel
MEAN_OF_FOUR = [(1, 1), (1, 2), (2, 1), (2, 2)]  # the pixels that a stride of 2 puts into one
GREY = 0.5
# Rows: brightness, red against blue, green against both; scaled to a deviation near 1 over scenes.
OPPONENTS = ([1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-0.5, 1.0, -0.5])
SCALES = (3.0, 5.0, 5.0)
OTHER_SHARE = 0.1  # of the other channels' weights in what ends the encoder and the decoder


def _latent_of_colour():
    """[3, 3]: latents of RGB less grey."""
    rows = torch.tensor(OPPONENTS)
    return rows / rows.norm(dim=1, keepdim=True) * torch.tensor(SCALES)[:, None]


def _pass_on(conv, taps, mixing):
    """Make the first three outputs a mean over `taps` of the first three inputs, mixed by [3, 3]."""
    conv.weight[:3] = 0
    for row, column in taps:
        conv.weight[:3, :3, row, column] = mixing / len(taps)


def _convolutions(stack):
    """The stack's own convolutions, without those of its blocks."""
    return [layer for layer in stack if isinstance(layer, torch.nn.Conv2d)]


@torch.no_grad()
def carry_colours(net):
    """Set the weights of a fresh TAESD so."""
    from comfy.taesd.taesd import Block

    for block in (module for module in net.modules() if isinstance(module, Block)):
        block.conv[-1].weight[:3] = 0
        block.conv[-1].bias[:3] = 0
    as_is, mixing = torch.eye(3), _latent_of_colour()
    first, *halving, last = _convolutions(net.taesd_encoder)
    _pass_on(first, CENTRE, as_is)
    for conv in halving:
        _pass_on(conv, MEAN_OF_FOUR, as_is)
    last.weight *= OTHER_SHARE
    last.weight[:3, :3] = 0
    last.weight[:3, :3, 1, 1] = mixing
    last.bias[:3] = -GREY * mixing.sum(dim=1)
    first, *doubling, last = _convolutions(net.taesd_decoder)
    _pass_on(first, CENTRE, torch.linalg.inv(mixing))
    first.bias[:3] = GREY
    for conv in doubling:
        _pass_on(conv, CENTRE, as_is)
    last.weight *= OTHER_SHARE
    last.weight[:, :3] = 0
    last.weight[:3, :3, 1, 1] = as_is
    last.bias.zero_()
