# SPDX-License-Identifier: Apache-2.0
"""A PyTorch model in training: where it computes, its optimizer, steps, evaluation and checkpoints.

Owns what a checkpoint holds, and the ranges of a step that a profile names. Knows nothing of files of records, options
or clocks; the model and its loss are in encoder_torch.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from encoder_torch import Encoder, loss_sums
from torch import Tensor
from torch.profiler import record_function
from training_run import added, means

__all__ = ["CHECKPOINT", "Place", "Trainer"]

Batch = dict[str, Tensor]
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one process of a training computes."""

    device: torch.device
    rank: int = 0
    num_ranks: int = 1

    def moved(self, batch: dict[str, Any]) -> Batch:
        """Return arrays as tensors on the device."""
        return {
            name: torch.from_numpy(column).to(self.device, non_blocking=True)
            for name, column in batch.items()
        }

    def wait(self) -> None:
        """Return when the device has ended what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Trainer:
    """A model, its optimizer, and what trains and evaluates it.

    Parameters
    ----------
    model : Encoder
    place : Place
    weight_decay : float
        Of matrices; biases and norms do not decay.
    compiled : bool
        Whether forward and backward are compiled; evaluation is not.
    mixed_precision : bool
        Whether they compute in bfloat16; weights are float32.

    """

    def __init__(
        self,
        model: Encoder,
        place: Place,
        *,
        weight_decay: float = 0.01,
        compiled: bool = False,
        mixed_precision: bool = False,
    ) -> None:
        self.model, self.place, self.mixed_precision = (
            model.to(place.device),
            place,
            mixed_precision,
        )
        parameters = list(model.parameters())
        matrices = [parameter for parameter in parameters if parameter.ndim > 1]
        vectors = [parameter for parameter in parameters if parameter.ndim == 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ]
        )
        self._trained: Any = self.model
        if place.num_ranks > 1:
            self._trained = torch.nn.parallel.DistributedDataParallel(self.model)
        if compiled:
            self._trained = torch.compile(self._trained)

    def _sums(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        with torch.autocast(self.place.device.type, torch.bfloat16, enabled=self.mixed_precision):
            logits = model(batch)
        return loss_sums(batch, logits)

    def train_step(self, batch: Batch, learning_rate: float) -> dict[str, float]:
        """Update the weights, wait for the device, and return sums of losses."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        with record_function("forward"):
            sums = self._sums(self._trained, batch)
            loss = sum(value for name, value in means(sums).items() if name.endswith("loss"))
        with record_function("backward"):
            self.optimizer.zero_grad()
            loss.backward()
        with record_function("optimizer"):
            self.optimizer.step()
            self.place.wait()
        return {name: float(value.detach()) for name, value in sums.items()}

    @torch.no_grad()
    def evaluate(self, batches: Iterable[dict[str, Any]]) -> dict[str, float]:
        """Return means over batches of arrays."""
        sums = (self._sums(self.model, self.place.moved(batch)) for batch in batches)
        return means(added({name: float(value) for name, value in one.items()} for one in sums))

    def save(self, folder: Path, steps_done: int) -> None:
        """Write the checkpoint of a folder, whole or not at all."""
        state = {
            "steps_done": steps_done,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        unfinished = folder / f"{CHECKPOINT}.new"
        torch.save(state, unfinished)
        unfinished.replace(folder / CHECKPOINT)

    def restore(self, folder: Path) -> int:
        """Take the state of a folder's checkpoint, if it has one; return the number of steps done."""
        path = folder / CHECKPOINT
        if not path.exists():
            return 0
        state = torch.load(path, self.place.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["steps_done"])
