# SPDX-License-Identifier: Apache-2.0
"""Pretrain a small ALBERT-like encoder in Keras on records of maskcore: `python pretrain_keras.py --out DIR`.

A run that was killed goes on where its last checkpoint is, and ends with the same weights as one that was not. Owns the
data, logs and checkpoints; the model is in encoder_keras.py and trainer_keras.py, and what is the same in every
framework in training_run.py, record_files.py and meter.py. The loop is written out, not `fit`'s, since it is to say
how long it waits for input, and to go on in mid-epoch.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # without notes on the build of TensorFlow

import numpy as np
import record_files
import tensorflow as tf
from device_masks_keras import device_masks, unmasked_data
from meter import Meter, Speed, measured_peak, train_flops_per_token
from record_files import RecordFiles
from trainer_keras import Trainer, numbers
from training_run import (
    add_options,
    added,
    check_same_run,
    encoder_size,
    log_line,
    means,
    scalars,
)

import tfshim
from maskcore.records import RecordsError

__all__ = ["main", "parse", "train", "training_data"]

keras = tf.keras


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="checkpoints and logs; goes on there"
    )
    record_files.add_options(parser)
    add_options(parser)
    add = parser.add_argument_group("where and how it runs").add_argument
    add(
        "--strategy",
        choices=["auto", "default", "mirrored", "tpu"],
        default="auto",
        help="auto: TPUStrategy where a TPU is found, MirroredStrategy on GPUs, else one device",
    )
    add("--jit-compile", action="store_true", help="compile forward and backward")
    add("--mixed-precision", action="store_true", help="compute in bfloat16")
    add("--mask-on-device", action="store_true", help="mask in the train step, by XLA")
    add("--deterministic", action="store_true", help="exact on GPUs, too; slower")
    add("--peak-tflops", type=float, help="of all devices (default: measured)")
    return parser.parse_args(arguments)


def make_strategy(name: str, *, jit_compile: bool) -> Any:
    """Return the `tf.distribute` strategy of that name, by default the one for the devices found."""
    if name == "auto":
        if tf.config.list_physical_devices("TPU") or "TPU_NAME" in os.environ:
            name = "tpu"
        else:
            name = "mirrored" if tf.config.list_physical_devices("GPU") else "default"
    if name == "default":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        strategy = tf.distribute.MirroredStrategy()
        if jit_compile and strategy.num_replicas_in_sync > 1:
            raise ValueError(
                f"--jit-compile: XLA takes no variables that are mirrored on {strategy.num_replicas_in_sync} "
                "devices; leave it out, or let CUDA_VISIBLE_DEVICES name one"
            )
        return strategy
    if jit_compile:
        raise ValueError("--jit-compile: TPUStrategy compiles by itself; leave it out")
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
        os.environ.get("TPU_NAME", "local")
    )
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


def training_data(
    files: RecordFiles,
    batch_size: int,
    *,
    seed: int,
    first_step: int = 0,
    with_row_ids: bool = False,
) -> Any:
    """Return the endless dataset from a step on: where a training is in its data is a function of the step."""

    def from_epoch(epoch: int) -> Any:
        return tfshim.masked_dataset(
            files.training,
            batch_size,
            bins=files.seq_length,
            output="positions",
            mask={"seed": seed},
            shuffle_seed=seed,
            initial_epoch=epoch,
            drop_remainder=True,  # so that epochs begin with a batch, and hold equally many
            with_row_ids=with_row_ids,
        )

    steps_per_epoch = from_epoch(0).steps_per_epoch
    epoch, step = divmod(first_step, steps_per_epoch)
    dataset = from_epoch(epoch).skip(step)
    dataset.steps_per_epoch = steps_per_epoch
    return dataset


def held_out_data(files: RecordFiles, batch_size: int, *, seed: int) -> Any:
    """Return the finite dataset to evaluate on, masked alike every time."""
    return tfshim.masked_dataset(
        files.held_out,
        min(batch_size, files.num_held_out),
        bins=files.seq_length,
        output="positions",
        mask={"seed": seed},
        fixed_masks=True,
        drop_remainder=True,  # one shape, which every replica can have its part of
    )


def peak_flops(strategy: Any, dtype: str) -> float:
    """Return the FLOPs a second of all devices, from the quickest multiplication of large matrices."""
    is_cpu = not tf.config.list_physical_devices("GPU") and "TPU" not in type(strategy).__name__
    side = 1024 if is_cpu else 8192
    matrix = tf.cast(tf.random.stateless_normal((side, side), seed=(0, 0)), dtype)

    def multiply() -> float:
        return float(tf.linalg.matmul(matrix, matrix)[0, 0])

    one_device = measured_peak(multiply, 2.0 * side**3, seconds=0.5)
    return one_device * strategy.num_replicas_in_sync


def make_trainer(options: argparse.Namespace, files: RecordFiles, seed: int) -> Trainer:
    """Return a model with its first weights, and what trains it."""
    data = training_data(files, options.batch_size, seed=seed)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(options.steps - options.warmup_steps, 1),
        warmup_target=options.learning_rate,
        warmup_steps=options.warmup_steps,
    )
    strategy = make_strategy(options.strategy, jit_compile=options.jit_compile)
    num_replicas = strategy.num_replicas_in_sync
    if options.batch_size % num_replicas:
        raise ValueError(
            f"--batch-size: {options.batch_size} rows for {num_replicas} devices; pass a multiple of {num_replicas}"
        )
    return Trainer(
        encoder_size(options, files, data.element_spec["masked_lm_positions"].shape[1]),
        data,
        num_heads=options.heads,
        share_layers=not options.no_sharing,
        schedule=schedule,
        weight_decay=options.weight_decay,
        strategy=strategy,
        jit_compile=options.jit_compile,
        mask=device_masks(files, seed=seed) if options.mask_on_device else None,
    )


def restored(trainer: Trainer, folder: Path) -> tuple[Any, Any]:
    """Return the number of steps done and the manager of the checkpoints; the trainer has the last one's values."""
    steps_done = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(
        model=trainer.model, optimizer=trainer.optimizer, steps_done=steps_done
    )
    manager = tf.train.CheckpointManager(checkpoint, str(folder / "checkpoints"), max_to_keep=2)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).assert_existing_objects_matched()
        print(f"goes on after step {int(steps_done)}, from {manager.latest_checkpoint}", flush=True)
    return steps_done, manager


def make_meter(options: argparse.Namespace, trainer: Trainer) -> Meter:
    """Return a meter for batches of the model's rows, and say what it measures with."""
    size = trainer.model.size
    flops = train_flops_per_token(size)
    if options.peak_tflops is None:
        peak, source = peak_flops(trainer.strategy, trainer.model.compute_dtype), "measured"
    else:
        peak, source = options.peak_tflops * 1e12, "given"
    num_weights = sum(int(np.prod(weight.shape)) for weight in trainer.model.trainable_variables)
    strategy = trainer.strategy
    print(
        f"{num_weights:,} weights, {flops / 1e6:.3g} MFLOPs a token; {type(strategy).__name__.lstrip('_')}, replicas: "
        f"{strategy.num_replicas_in_sync}, peak {peak / 1e12:.3g} TFLOP/s ({source})",
        flush=True,
    )
    tokens = options.batch_size * size.seq_length
    return Meter(tokens_per_step=tokens, flops_per_token=flops, peak_flops=peak)


class Log:
    """Lines on the terminal, and scalars for TensorBoard in the folder's `logs`."""

    def __init__(self, folder: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(folder / "logs"))

    def write(
        self, step: int, kind: str, values: dict[str, float], speed: Speed | None = None
    ) -> None:
        """Write values after a step; `kind` is "train" or "held-out"."""
        print(log_line(step, kind, values, speed), flush=True)
        with self._writer.as_default(step):
            for name, value in scalars(kind, values, speed).items():
                tf.summary.scalar(name, value)
        self._writer.flush()


def train(options: argparse.Namespace) -> Trainer:
    """Train to the last step, from the last checkpoint or from the beginning; return what was trained."""
    files = record_files.find(options)
    seed = files.manifest.mask.seed if options.seed is None else options.seed
    check_same_run(options, seed)
    keras.utils.set_random_seed(seed % 2**32)
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy(
        "mixed_bfloat16" if options.mixed_precision else "float32"
    )
    trainer = make_trainer(options, files, seed)
    held_out = trainer.distributed(held_out_data(files, options.batch_size, seed=seed))
    steps_done, checkpoints = restored(trainer, options.out)
    first_step = int(steps_done)
    make_data = unmasked_data if options.mask_on_device else training_data
    data = make_data(files, options.batch_size, seed=seed, first_step=first_step)
    batches = iter(trainer.distributed(data))
    meter, log = make_meter(options, trainer), Log(options.out)
    totals: list[dict[str, float]] = []
    for step in range(first_step + 1, options.steps + 1):
        with meter.waiting_for_input():
            batch = next(batches)
        totals.append(numbers(trainer.train_step(batch)))  # waits for the device, too
        meter.end_step()
        is_last = step == options.steps
        with meter.paused():
            if step % options.log_steps == 0 or is_last:
                values = means(added(totals)) | {"learning_rate": trainer.learning_rate(step)}
                log.write(step, "train", values, meter.lap())
                totals = []
            if step % options.eval_steps == 0 or is_last:
                log.write(step, "held-out", trainer.evaluate(held_out))
            if step % options.checkpoint_steps == 0 or is_last:
                steps_done.assign(step)
                checkpoints.save(checkpoint_number=step)
    print(f"{options.steps:,} steps are done: {meter.total() or 'no step was measured'}")
    return trainer


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = parse(arguments)
    try:
        train(options)
    except (RecordsError, ValueError) as error:
        print(f"pretrain_keras: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"\npretrain_keras: interrupted; the same command goes on from the checkpoint in {options.out}",
            file=sys.stderr,
        )
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
