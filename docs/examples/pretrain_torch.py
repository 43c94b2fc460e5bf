# SPDX-License-Identifier: Apache-2.0
"""Pretrain a small ALBERT-like encoder in PyTorch on records of maskcore: `python pretrain_torch.py --out DIR`.

A run that was killed goes on where its last checkpoint is, and on a CPU ends with the same weights as one that was not.
Owns options, training, logs and profile; the model is in encoder_torch.py and trainer_torch.py, batches are in
rows_torch.py, and what is the same in every framework in training_run.py, record_files.py and meter.py.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # without the profiler's notes on its stages

import record_files
import torch
from encoder_torch import Encoder
from meter import Meter, Speed, measured_peak, train_flops_per_token
from record_files import RecordFiles
from rows_torch import HeldOutBatches, MaskedBatches
from torch.profiler import (
    ProfilerAction,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)
from torch.utils.data import DataLoader
from trainer_torch import CHECKPOINT, Place, Trainer
from training_run import (
    add_options,
    added,
    check_same_run,
    encoder_size,
    learning_rate,
    log_line,
    means,
    scalars,
)

from maskcore.records import RecordsError

__all__ = ["main", "parse", "train"]

# Steps that a profile waits for, warms up in, and holds.
PROFILE_STEPS = {"wait": 2, "warmup": 2, "active": 4}
RANGES = ("input", "masking", "forward", "backward", "optimizer")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="checkpoints and logs; goes on there"
    )
    record_files.add_options(parser)
    add_options(parser)
    add = parser.add_argument_group("where and how it runs").add_argument
    add("--device", type=torch.device, help="default: cuda where there is one, else cpu")
    add("--workers", type=int, default=0, help="processes that read and mask (default: this one)")
    add("--compile", action="store_true", help="compile forward and backward: torch.compile")
    add("--mixed-precision", action="store_true", help="compute in bfloat16: torch.autocast")
    add("--peak-tflops", type=float, help="of all devices (default: measured)")
    add("--profile", type=Path, metavar="DIR", help="write a trace of a few steps for TensorBoard")
    add("--input-only", action="store_true", help="train nothing: say how fast batches come")
    return parser.parse_args(arguments)


def find_place(options: argparse.Namespace) -> Place:
    """Return where this process computes: one of those that torchrun started, or the only one."""
    rank, num_ranks = (
        int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"))
    )
    if options.batch_size % num_ranks:
        raise ValueError(
            f"--batch-size: {options.batch_size} rows for {num_ranks} processes; pass a multiple of {num_ranks}"
        )
    device = options.device
    if device is None:
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
        device = torch.device(name)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # where NCCL sends from
    return Place(device, rank, num_ranks)


def training_batches(
    options: argparse.Namespace, files: RecordFiles, seed: int, place: Place, first_step: int
) -> Any:
    """Return an iterator over the batches of this process from a step on."""
    batches = MaskedBatches(
        files.training,
        options.batch_size // place.num_ranks,
        seq_length=files.seq_length,
        seed=seed,
        first_step=first_step,
        rank=place.rank,
        num_ranks=place.num_ranks,
    )
    return iter(
        DataLoader(batches, batch_size=None, num_workers=options.workers, collate_fn=in_arrays)
    )


def in_arrays(batch: Any) -> Any:
    """Keep a worker's arrays: through a pipe they are here sooner than tensors, each a file of shared memory."""
    return batch


def peak_flops(place: Place, *, mixed_precision: bool) -> float:
    """Return the FLOPs a second of all devices, from the quickest multiplication of large matrices."""
    side = 1024 if place.device.type == "cpu" else 8192
    dtype = torch.bfloat16 if mixed_precision else torch.float32
    matrix = torch.full((side, side), 0.5, dtype=dtype, device=place.device)

    def multiply() -> None:
        torch.mm(matrix, matrix)
        place.wait()

    return measured_peak(multiply, 2.0 * side**3, seconds=0.5) * place.num_ranks


def make_meter(options: argparse.Namespace, trainer: Trainer) -> Meter:
    """Return a meter for batches of the model's rows, and say what it measures with."""
    size, place = trainer.model.size, trainer.place
    flops = train_flops_per_token(size)
    if options.peak_tflops is None:
        peak, source = peak_flops(place, mixed_precision=options.mixed_precision), "measured"
    else:
        peak, source = options.peak_tflops * 1e12, "given"
    num_weights = sum(parameter.numel() for parameter in trainer.model.parameters())
    say(
        place,
        f"{num_weights:,} weights, {flops / 1e6:.3g} MFLOPs a token; {place.device}, processes: {place.num_ranks}, "
        f"peak {peak / 1e12:.3g} TFLOP/s ({source})",
    )
    tokens = options.batch_size * size.seq_length
    return Meter(tokens_per_step=tokens, flops_per_token=flops, peak_flops=peak)


def say(place: Place, text: str) -> None:
    """Print, once for all processes."""
    if place.rank == 0:
        print(text, flush=True)


class Log:
    """Lines on the terminal, and scalars for TensorBoard in the folder's `logs`, of the first process."""

    def __init__(self, folder: Path, place: Place, steps_done: int) -> None:
        self._writer: Any = None
        if place.rank > 0:
            return
        if "tensorflow" not in sys.modules:
            # TensorBoard's switch against importing it, for seconds (tensorboard/compat/__init__.py).
            sys.modules["tensorboard.compat.notf"] = ModuleType("notf")
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - behind the switch
        except ImportError as error:
            raise ValueError(f"logs need TensorBoard ({error}): pip install tensorboard") from None

        # What a killed run wrote after its checkpoint is not shown.
        self._writer = SummaryWriter(str(folder / "logs"), purge_step=steps_done + 1)

    def write(
        self, step: int, kind: str, values: dict[str, float], speed: Speed | None = None
    ) -> None:
        """Write values after a step; `kind` is "train" or "held-out"."""
        if self._writer is None:
            return
        print(log_line(step, kind, values, speed), flush=True)
        for name, value in scalars(kind, values, speed).items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


def make_profile(folder: Path | None, place: Place) -> profile:
    """Return a profiler that writes a trace of a few steps, and prints what their ranges take.

    Without a folder, and in other processes than the first, it does nothing.
    """
    if folder is None or place.rank > 0:
        return profile(schedule=lambda step: ProfilerAction.NONE)
    write_trace = tensorboard_trace_handler(str(folder))

    def end(profiler: profile) -> None:
        write_trace(profiler)
        times = {entry.key: entry for entry in profiler.key_averages()}
        print(f"a trace of {PROFILE_STEPS['active']} steps is in {folder}; milliseconds a step:")
        for name in RANGES:
            if name in times:  # masking is not, where workers mask
                spent = times[name].cpu_time_total / 1e3 / PROFILE_STEPS["active"]
                print(f"  {name:<10} {spent:9.2f}")

    return profile(schedule=schedule(**PROFILE_STEPS, repeat=1), on_trace_ready=end)


def find_run(options: argparse.Namespace, place: Place) -> tuple[RecordFiles, int]:
    """Return the records, which the first process builds for all where there are none, and the seed."""
    if place.rank > 0:
        torch.distributed.barrier()
    files = record_files.find(options)
    seed = files.manifest.mask.seed if options.seed is None else options.seed
    check_same_run(options, seed)
    if place.rank == 0 and place.num_ranks > 1:
        torch.distributed.barrier()
    return files, seed


def make_trainer(
    options: argparse.Namespace, files: RecordFiles, held_out: Any, place: Place, seed: int
) -> Trainer:
    """Return a model with its first weights, and what trains it."""
    torch.manual_seed(seed)
    num_predictions = next(iter(held_out))["masked_lm_positions"].shape[1]
    size = encoder_size(options, files, num_predictions)
    return Trainer(
        Encoder(size, num_heads=options.heads, share_layers=not options.no_sharing),
        place,
        weight_decay=options.weight_decay,
        compiled=options.compile,
        mixed_precision=options.mixed_precision,
    )


def train(options: argparse.Namespace) -> Trainer:
    """Train to the last step, from the last checkpoint or from the beginning; return what was trained."""
    place = find_place(options)
    files, seed = find_run(options, place)
    held_out = HeldOutBatches(
        files.held_out, options.batch_size, seq_length=files.seq_length, seed=seed
    )
    trainer = make_trainer(options, files, held_out, place, seed)
    steps_done = trainer.restore(options.out)
    if steps_done:
        say(place, f"goes on after step {steps_done:,}")
    profiled, steps_left = sum(PROFILE_STEPS.values()), options.steps - steps_done
    if options.profile is not None and steps_left < profiled:
        raise ValueError(f"--profile: {steps_left} of --steps are left, a profile needs {profiled}")
    batches = training_batches(options, files, seed, place, steps_done)
    meter = make_meter(options, trainer)
    with ExitStack() as stack:
        profiler = stack.enter_context(make_profile(options.profile, place))
        log = stack.enter_context(closing(Log(options.out, place, steps_done)))
        totals: list[dict[str, float]] = []
        for step in range(steps_done + 1, options.steps + 1):
            with meter.waiting_for_input(), record_function("input"):
                batch = next(batches)
            rate = learning_rate(options, step - 1)
            totals.append(trainer.train_step(place.moved(batch), rate))
            meter.end_step()
            is_last = step == options.steps
            with meter.paused():
                profiler.step()
                if step % options.log_steps == 0 or is_last:
                    values = means(added(totals)) | {"learning_rate": rate}
                    log.write(step, "train", values, meter.lap())
                    totals = []
                if place.rank == 0 and (step % options.eval_steps == 0 or is_last):
                    log.write(step, "held-out", trainer.evaluate(held_out))
                if place.rank == 0 and (step % options.checkpoint_steps == 0 or is_last):
                    trainer.save(options.out, step)
    say(place, f"{options.steps:,} steps are done: {meter.total() or 'no step was measured'}")
    return trainer


def measure_input(options: argparse.Namespace) -> None:
    """Take the batches of all steps but the first, and say how fast they came."""
    place, files = find_place(options), record_files.find(options)
    batches = training_batches(options, files, options.seed or 0, place, 0)
    next(batches)  # workers run, and the first pool of rows is full
    started = time.perf_counter()
    for _ in range(options.steps):
        next(batches)
    seconds = time.perf_counter() - started
    num_rows = options.steps * options.batch_size // place.num_ranks
    say(
        place,
        f"{options.steps:,} batches of {options.batch_size // place.num_ranks} rows, workers: {options.workers}: "
        f"{num_rows / seconds:,.0f} rows/s, {seconds / options.steps * 1e3:.2f} ms a batch",
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = parse(arguments)
    with ExitStack() as stack:
        try:
            if "RANK" in os.environ:  # torchrun started this process
                torch.distributed.init_process_group()
                stack.callback(torch.distributed.destroy_process_group)
            (measure_input if options.input_only else train)(options)
        except (RecordsError, ValueError) as error:
            print(f"pretrain_torch: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            is_kept = (options.out / CHECKPOINT).exists()
            whence = f"goes on from the checkpoint in {options.out}" if is_kept else "begins anew"
            print(f"\npretrain_torch: interrupted; the same command {whence}", file=sys.stderr)
            return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
