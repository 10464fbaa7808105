"""Averages gradients between worker processes through shared memory.

One single-threaded process a core, meeting once a step, loses far less on a
machine that also does other work than one process with a thread a core, whose
threads meet in every operation.
"""
import torch
import torch.multiprocessing as multiprocessing


class GradientExchange:
    """Shared gradient buffers of `workers` processes and their meeting point."""

    def __init__(self, workers, size):
        """size: number of gradient elements of the whole net."""
        self.workers = workers
        # two sets in turn: a fast worker may fill the next step's buffer while
        # a slow one still reads this step's
        self.buffers = torch.zeros(2, workers, size).share_memory_()
        self.losses = torch.zeros(2, workers).share_memory_()
        # whether to stop is worker 0's word: clocks differ between processes
        self.progress = torch.zeros(2).share_memory_()
        self.barrier = multiprocessing.get_context("spawn").Barrier(workers)

    def average(self, worker, step, parameters, loss, progress):
        """Replace each gradient by the mean over the workers.

        Returns the mean loss and worker 0's progress, alike in all workers.
        """
        turn = step % 2
        mine = self.buffers[turn, worker]
        offset = 0
        for parameter in parameters:
            count = parameter.numel()
            mine[offset:offset + count].copy_(parameter.grad.reshape(-1))
            offset += count
        self.losses[turn, worker] = loss
        if worker == 0:
            self.progress[turn] = progress
        self.barrier.wait()
        offset = 0
        for parameter in parameters:
            count = parameter.numel()
            parts = self.buffers[turn, :, offset:offset + count]
            parameter.grad.copy_(parts.mean(dim=0).view_as(parameter))
            offset += count
        return self.losses[turn].mean().item(), self.progress[turn].item()
