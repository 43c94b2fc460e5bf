# SPDX-License-Identifier: Apache-2.0
"""`masked_dataset`: from a folder of records to batches for `model.fit`, masked anew in every epoch.

Owns the arguments. _record_files.py finds and checks the files, _pipeline.py reads them,
_batch_contents.py parses and masks: nothing of that is decided here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from maskcore import _checks
from maskcore.config import MaskConfig
from maskcore.errors import type_error, value_error
from maskcore.records import RecordsError
from maskcore.records.manifest import Manifest
from tfshim import _pipeline, _record_files
from tfshim._batch_contents import BatchContents
from tfshim._pipeline import BinBatches, Reading
from tfshim._tensorflow import tensorflow

__all__ = ["masked_dataset"]

# Rows that are mixed at a time: at L = 128 some 6 MB of int64 records, four times over.
SHUFFLE_BUFFER_SIZE = 8192

_BATCH_SIZE = _checks.IntegerRange("batch_size", 1, 2**31, "in [1, 2**31)", "pass rows a batch")
_EPOCH = _checks.IntegerRange(
    "initial_epoch", 0, _pipeline.LAST_EPOCH + 1, "in [0, 2**31)", "it is 0 for a new training"
)
_BUFFER = _checks.IntegerRange(
    "shuffle_buffer_size", 0, 2**31, "in [0, 2**31)", "pass 0 to keep the order of the files"
)
_SHUFFLE_SEED = _checks.IntegerRange(
    "shuffle_seed", 0, 2**63, "in [0, 2**63)", "pass a number, the same on all hosts"
)
_NUM_SHARDS = _checks.IntegerRange(
    "num_shards", 1, 2**31, "in [1, 2**31)", "pass the number of hosts"
)
_CALLS = _checks.IntegerRange(
    "num_parallel_calls", 1, 2**31, "in [1, 2**31)", "pass None to let tf.data choose"
)


def masked_dataset(
    dir_or_files: Any,
    batch_size: Any,
    *,
    seq_length: int | None = None,
    bins: Any = None,
    output: str | None = None,
    mask: MaskConfig | Mapping[str, Any] | None = None,
    replacement: Sequence[float] = (0.8, 0.1, 0.1),
    ignore_index: int = -100,
    initial_epoch: int = 0,
    fixed_masks: bool = False,
    shuffle_buffer_size: int | None = None,
    shuffle_seed: int | None = None,
    cache: Any = False,
    drop_remainder: bool = False,
    num_shards: int = 1,
    index: int = 0,
    num_parallel_calls: int | None = None,
    deterministic: bool = True,
    as_supervised: bool = False,
    with_row_ids: bool = False,
    implementation: str | None = None,
) -> Any:
    """Read records as batches for `model.fit`, masked anew in every epoch.

    The dataset has no end: epoch follows epoch, each with masks and an order of its own, and so
    nothing can iterate it again from the beginning and train on the same masks, as `fit` would with a
    finite one. Say how long an epoch is for Keras::

        train = tfshim.masked_dataset("records", 256)
        model.fit(train, epochs=10, steps_per_epoch=train.steps_per_epoch)

    Parameters
    ----------
    dir_or_files : path or list of paths
        A folder that `maskcore build` made, or some of its files, which lie beside its MANIFEST.json;
        local, or any URL that `tf.io.gfile` reads.
    batch_size : int, or mapping of row lengths to int
        Rows in a batch; for several bins one number, or one for each.
    seq_length : int, optional
        The longest row that the model takes. Longer ones are an error now instead of in the model.
    bins : int or sequence of int, optional
        Which row lengths to read, by default all. Of one bin shapes are static, (batch, length). Of
        several, every batch is of one bin, drawn in proportion to the bins' rows, and its length
        is static only in the batch itself.
    output : "labels" or "positions", optional
        As in `maskcore.mask_tokens`; "labels" by default. Rows of schema "bert" have positions.
    mask : MaskConfig or mapping of its fields, optional
        What is to differ from the manifest, such as ``{"masking_ratio": 0.2}``; a MaskConfig replaces
        all of it. With another ratio `max_predictions`, and with another `max_n` `ngram_weights`,
        are those that follow from it unless they are given, too.
    replacement : three numbers with sum 1
        Shares of masked tokens that become [MASK], become a random id, and are kept.
    ignore_index : int
        Label of tokens that are not masked.
    initial_epoch : int in [0, 2**31)
        The first epoch: that of `fit` to go on with.
    fixed_masks : bool
        One epoch, the initial one, and then the end: every iteration gives the same rows and masks, as
        evaluation wants.
    shuffle_buffer_size : int, optional
        Rows that are mixed at a time, besides the order of the files; 0 keeps the order of the
        folder. By default 8192, or 0 with `fixed_masks`.
    shuffle_seed : int in [0, 2**63), optional
        Seed of the order; by default that of the masks in the manifest.
    cache : bool or path
        Keep the records, not the masks, after the first epoch: in memory, or in files whose names begin with
        this path.
    drop_remainder : bool
        Leave out the rows at the end of an epoch that do not fill a batch. Else the last batch of an
        epoch goes on with rows of the next, in which they are masked by that one; with
        `fixed_masks` it is smaller than the others.
    num_shards, index : int
        Read the part `index` of `num_shards` equal parts of the rows: the number of hosts, and this one's.
    num_parallel_calls : int, optional
        Files that are read, and batches that are masked, at a time. By default tf.data chooses.
    deterministic : bool
        False lets batches and files overtake each other. The masks are the same.
    as_supervised : bool
        Elements (inputs, targets, weights), as `fit` takes them for a compiled loss, instead of one dict.
    with_row_ids : bool
        Add `row_id` int64 and `epoch` int32, of shape (batch,).
    implementation : str, optional
        As in `mask_tokens`.

    Returns
    -------
    tf.data.Dataset
        Of dicts of int32 tensors of shape (batch, length): `input_ids` (masked), `attention_mask`,
        `token_type_ids`, and `segment_ids` of packed rows; `labels`, or of shape (batch, P)
        `masked_lm_positions`, `masked_lm_ids` and float32 `masked_lm_weights`; of pairs
        `next_sentence_labels`, (batch, 1). Rows of schema "bert" come as they are stored. The
        dataset's attribute `steps_per_epoch` is the number of batches in an epoch, rounded down.

        With `as_supervised` the targets are `labels` or `masked_lm_ids`, with pairs a dict of them and
        `next_sentence_labels`; weights are 1.0, and 0.0 where nothing is predicted, where labels are
        0; all else are inputs.

    Raises
    ------
    RecordsError
        For a folder without a manifest, a file that is missing or not what the manifest says, and
        records of another version of the masking algorithm.
    TypeError, ValueError
        For arguments that the records cannot meet.
    tf.errors.InvalidArgumentError
        While iterating, for a damaged file. Each text names file and way out.

    Notes
    -----
    **Reproducibility.** The mask of a row depends on the manifest and `mask`, the epoch and the row's
    id, and on nothing else. Unless `deterministic` is False, order and batches depend on the
    files, the arguments that say what a batch is, `shuffle_seed` and the epoch: not on the machine,
    `num_parallel_calls` or `tf.random.set_seed`. A `tf.train.Checkpoint` of the iterator goes on in
    mid-epoch with the batches that would have come.

    ``dataset.take(n)`` begins with the same batches at every iteration, as any dataset does:
    for loops of your own, go on with one ``iter(dataset)``.

    Examples
    --------
    >>> import maskcore.records, pathlib, tempfile, tfshim
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("One sentence of a text. " * 40)
    >>> _ = maskcore.records.build(folder / "a.txt", folder / "records", seq_length=32)
    >>> train = tfshim.masked_dataset(folder / "records", 4, seq_length=32)
    >>> batch = next(iter(train))
    >>> sorted(batch), batch["labels"].shape
    (['attention_mask', 'input_ids', 'labels', 'token_type_ids'], TensorShape([4, 32]))

    """
    tf = tensorflow()
    folder = _record_files.open_folder(dir_or_files)
    manifest = folder.manifest
    seed = manifest.mask.seed if shuffle_seed is None else shuffle_seed
    if shuffle_buffer_size is None:
        shuffle_buffer_size = 0 if fixed_masks else SHUFFLE_BUFFER_SIZE
    reading = Reading(
        initial_epoch=int(_checks.integer(_EPOCH, initial_epoch)),
        is_endless=not fixed_masks,
        shuffle_buffer_size=int(_checks.integer(_BUFFER, shuffle_buffer_size)),
        shuffle_seed=int(_checks.integer(_SHUFFLE_SEED, seed)),
        cache=_cache_path(cache),
        drop_remainder=bool(drop_remainder),
        num_parallel_calls=None
        if num_parallel_calls is None
        else int(_checks.integer(_CALLS, num_parallel_calls)),
        deterministic=bool(deterministic),
    )
    contents = BatchContents(
        manifest=manifest,
        mask=_mask_config(manifest, mask),
        output=_output(manifest, output, folder.path),
        replacement=tuple(replacement),
        ignore_index=ignore_index,
        as_supervised=as_supervised,
        with_row_ids=_with_row_ids(manifest, with_row_ids, folder.path),
        implementation=implementation,
    )
    lengths = _record_files.chosen_bins(folder, bins, seq_length)
    num_shards = int(_checks.integer(_NUM_SHARDS, num_shards))
    index = _shard_index(index, num_shards)
    sizes = _batch_sizes(batch_size, lengths)
    read = [
        BinBatches(_record_files.rows_of_bin(folder, length, num_shards, index), size, reading)
        for length, size in zip(lengths, sizes, strict=True)
    ]
    read = _checked(read, folder.path)
    batches = [
        _pipeline.record_batches(one).map(
            contents.of_bin(one.rows.length),
            num_parallel_calls=reading.parallelism,
            deterministic=reading.deterministic,
        )
        for one in read
    ]
    dataset = _pipeline.in_proportion(batches, read)
    steps = _steps_per_epoch(read)
    cardinality = tf.data.INFINITE_CARDINALITY if reading.is_endless else steps
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality))
    options = tf.data.Options()
    policy = tf.data.experimental.AutoShardPolicy
    # By file, TensorFlow would divide the numbers of the epochs among its workers.
    options.experimental_distribute.auto_shard_policy = (
        policy.OFF if num_shards > 1 else policy.DATA
    )
    dataset = dataset.prefetch(tf.data.AUTOTUNE).with_options(options)
    dataset.steps_per_epoch = steps
    return dataset


def _cache_path(cache: Any) -> str | None:
    """Return where the cache lies, in the words of `Reading`."""
    if cache is None or cache is False:
        return None
    if cache is True:
        return _pipeline.IN_MEMORY
    if not isinstance(cache, (str, os.PathLike)) or not os.fspath(cache):
        remedy = "False keeps nothing, True keeps records in memory"
        raise type_error("cache", "a bool or a path", repr(cache), remedy)
    return os.fspath(cache)


def _mask_config(manifest: Manifest, given: MaskConfig | Mapping[str, Any] | None) -> MaskConfig:
    """Return how masks are drawn; `max_predictions` is None where it is to follow from the ratio."""
    if given is None:
        return manifest.mask
    if manifest.schema == "bert":
        remedy = "build records of schema 'maskcore' to mask them while they are read"
        raise value_error("mask", "None for rows of schema 'bert'", given, remedy)
    if isinstance(given, MaskConfig):
        return given
    if not isinstance(given, Mapping):
        raise type_error(
            "mask", "a MaskConfig or a mapping of its fields", repr(given), "as {'max_n': 1}"
        )
    fields = manifest.mask.to_json().keys()
    for name in given:
        if name not in fields:
            listed = ", ".join(sorted(fields))
            raise value_error("mask", f"a mapping of {listed}", repr(name), "spell it so")
    changes = dict(given)
    if "masking_ratio" in changes:
        changes.setdefault("max_predictions", None)
    if "max_n" in changes:
        changes.setdefault("ngram_weights", None)
    return replace(manifest.mask, **changes)


def _output(manifest: Manifest, output: str | None, folder: str) -> str:
    if manifest.schema == "bert":
        if output not in (None, "positions"):
            raise value_error(
                "output", f"positions for {folder}, of schema 'bert'", output, "leave it out"
            )
        return "positions"
    if output not in (None, "labels", "positions"):
        raise value_error("output", "labels or positions", repr(output), "spell it so")
    return output or "labels"


def _with_row_ids(manifest: Manifest, asked: bool, folder: str) -> bool:
    if asked and manifest.schema == "bert":
        raise RecordsError(
            f"{folder}: rows of schema 'bert' have no ids; leave out with_row_ids, or build schema "
            "'maskcore'"
        )
    return bool(asked)


def _shard_index(index: int, num_shards: int) -> int:
    limits = _checks.IntegerRange(
        "index", 0, num_shards, f"in [0, {num_shards})", "pass the number of this host, from 0 on"
    )
    return int(_checks.integer(limits, index))


def _batch_sizes(batch_size: Any, lengths: tuple[int, ...]) -> list[int]:
    if not isinstance(batch_size, Mapping):
        return [int(_checks.integer(_BATCH_SIZE, batch_size))] * len(lengths)
    if set(batch_size) != set(lengths):
        listed = ", ".join(map(str, lengths))
        raise value_error("batch_size", f"a mapping of {listed}", batch_size, "one for each bin")
    return [int(_checks.integer(_BATCH_SIZE, batch_size[length])) for length in lengths]


def _checked(bins: list[BinBatches], folder: str) -> list[BinBatches]:
    """Return the bins that have rows; raise where a host, or an epoch, would have none."""
    filled = [one for one in bins if one.rows.num_rows_of_all]
    if not filled:
        raise RecordsError(
            f"{folder}: no rows of the lengths asked for; build records of more text"
        )
    for one in filled:
        rows, shares = one.rows, one.rows.num_shards
        if rows.fewest_rows == 0:
            raise value_error(
                "num_shards",
                f"at most {rows.num_rows_of_all}, the rows of {rows.length} tokens of {folder}",
                shares,
                "let fewer hosts read, or leave this length out of bins",
            )
        if one.rows_used == 0:
            raise value_error(
                "batch_size",
                f"at most {rows.fewest_rows} with drop_remainder, the rows of {rows.length} tokens",
                one.batch_size,
                "or pass drop_remainder=False",
            )
    return filled


def _steps_per_epoch(bins: list[BinBatches]) -> int:
    reading = bins[0].reading
    if not reading.is_endless:
        return sum(-(-one.rows_used // one.batch_size) for one in bins)
    if reading.drop_remainder:
        return sum(one.rows_used // one.batch_size for one in bins)
    # Exact as a fraction, so that bins of a batch or less do not vanish one by one.
    product = 1
    for one in bins:
        product *= one.batch_size
    shares = sum(one.rows.fewest_rows * (product // one.batch_size) for one in bins)
    return max(1, shares // product)
