"""Where in the latent the rows of a call lie. Packs call the UNet on tiles, which may lie elsewhere at each evaluation;
a feature belongs to the place that it was computed at."""

import torch


class Canvas:
    """The latent of one pass of the host over its conditionings, as the UNet would get the whole of it."""

    def __init__(self, x: torch.Tensor, as_input, wrapped: bool):
        """`x` [batch, channels, height, width]; `as_input`: scales it for the UNet; `wrapped`: another pack's function
        stands between the host and the UNet, which may also turn the whole of it round."""
        self._x = x
        self._as_input = as_input
        self._wrapped = wrapped
        self._scaled = None

    @property
    def batch(self) -> int:
        return self._x.shape[0]

    def origins(self, rows: torch.Tensor) -> list[int] | None:
        """For each of the `rows` [rows, channels, height, width] of a call where its first pixel lies in the latent;
        None where one of them is no part of it. Waits for a GPU, unless the call is the host's own on all of it."""
        whole = rows.shape[2:] == self._x.shape[2:]
        if whole and not self._wrapped:
            return [0] * rows.shape[0]
        if self._scaled is None:
            self._scaled = self._as_input(self._x)
        scaled = self._scaled.to(rows.dtype)
        corners = rows[:, :scaled.shape[1], None, :1, :1].transpose(1, 2)  # [rows, 1, channels, 1, 1]
        hits = (scaled == corners).all(2).flatten(1)  # [rows, batch * height * width]
        where = torch.where(hits.any(1), hits.int().argmax(1), -1).tolist()
        if -1 in where:
            return [0] * rows.shape[0] if whole else None
        return where
