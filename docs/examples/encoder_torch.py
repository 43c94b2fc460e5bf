# SPDX-License-Identifier: Apache-2.0
"""A transformer encoder in plain PyTorch, in the manner of ALBERT or of BERT, with heads for masked tokens and pairs.

Owns the model and what it is trained to minimise. Knows nothing of files, devices or steps.
"""

from __future__ import annotations

import torch
from meter import EncoderSize
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Encoder", "loss_sums"]

INITIAL_STDDEV = 0.02  # BERT's and ALBERT's initializer_range
NORM_EPSILON = 1e-12  # theirs, too


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=NORM_EPSILON)


class PositionalEncoding(nn.Module):
    """Adds a learned vector for each place of a row, as BERT does."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(length, width))

    def forward(self, embedded: Tensor) -> Tensor:
        """Return the embeddings (batch, length, width) with their places."""
        return embedded + self.table[: embedded.shape[1]]


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention in several heads."""

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query_key_value = nn.Linear(hidden_size, 3 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)

    def forward(self, states: Tensor, may_attend: Tensor) -> Tensor:
        """Return what each place gathers: (batch, length, hidden).

        Parameters
        ----------
        states : (batch, length, hidden)
        may_attend : bool, broadcastable to (batch, heads, length, length)

        """
        batch, length, hidden = states.shape
        parts = self.query_key_value(states).view(batch, length, 3, self.num_heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        gathered = functional.scaled_dot_product_attention(query, key, value, attn_mask=may_attend)
        return self.output(gathered.transpose(1, 2).reshape(batch, length, hidden))


class EncoderLayer(nn.Module):
    """Attention, then feed-forward; each is added to what it was given, and normalised."""

    def __init__(self, size: EncoderSize, num_heads: int) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(size.hidden_size, num_heads)
        self.attention_norm = _norm(size.hidden_size)
        self.feed_forward = nn.Sequential(
            nn.Linear(size.hidden_size, size.feed_forward_size),
            nn.GELU(),
            nn.Linear(size.feed_forward_size, size.hidden_size),
        )
        self.norm = _norm(size.hidden_size)

    def forward(self, states: Tensor, may_attend: Tensor) -> Tensor:
        """Return new states, (batch, length, hidden)."""
        states = self.attention_norm(states + self.attention(states, may_attend))
        return self.norm(states + self.feed_forward(states))


class Encoder(nn.Module):
    """Embeddings, layers, and a head for each task.

    Parameters
    ----------
    size : EncoderSize
        Where the embeddings are smaller than the states they are projected, as in ALBERT. Without
        `num_pair_classes` there is no head for pairs.
    num_heads : int
        Divides the hidden size.
    share_layers : bool
        One layer, applied `num_layers` times, as in ALBERT.

    """

    def __init__(self, size: EncoderSize, *, num_heads: int, share_layers: bool) -> None:
        super().__init__()
        if size.hidden_size % num_heads:
            raise ValueError(
                f"num_heads must divide the hidden size {size.hidden_size}, got {num_heads}"
            )
        self.size = size
        width = size.embedding_size
        self.token_table = nn.Embedding(size.vocab_size, width)
        self.type_table = nn.Embedding(2, width)
        self.position = PositionalEncoding(size.seq_length, width)
        self.embedding_norm = _norm(width)
        is_projected = width != size.hidden_size
        self.project = nn.Linear(width, size.hidden_size) if is_projected else nn.Identity()
        num_distinct = 1 if share_layers else size.num_layers
        self.layers = nn.ModuleList(EncoderLayer(size, num_heads) for _ in range(num_distinct))
        self.prediction = nn.Sequential(nn.Linear(size.hidden_size, width), nn.GELU(), _norm(width))
        self.prediction_bias = nn.Parameter(torch.zeros(size.vocab_size))
        self.pair = None
        if size.num_pair_classes:
            self.pair = nn.Sequential(
                nn.Linear(size.hidden_size, size.hidden_size),
                nn.Tanh(),
                nn.Linear(size.hidden_size, size.num_pair_classes),
            )
        self.apply(_initialise)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return float32 logits: "masked_lm" (batch, P, vocab) and, with pairs, "pair" (batch, classes)."""
        states = self._states(batch)
        places = batch["masked_lm_positions"].long()[:, :, None]
        predicted = states.gather(1, places.expand(-1, -1, states.shape[2]))
        logits = functional.linear(self.prediction(predicted), self.token_table.weight)
        found = {"masked_lm": logits.float() + self.prediction_bias}
        if self.pair is not None:
            found["pair"] = self.pair(states[:, 0]).float()
        return found

    def _states(self, batch: dict[str, Tensor]) -> Tensor:
        embedded = self.token_table(batch["input_ids"]) + self.type_table(batch["token_type_ids"])
        states = self.project(self.embedding_norm(self.position(embedded)))
        may_attend = batch["attention_mask"][:, None, None, :] > 0
        if "segment_ids" in batch:  # documents that share a row do not see each other
            documents = batch["segment_ids"]
            is_same = documents[:, :, None] == documents[:, None, :]
            may_attend = may_attend & is_same[:, None]
        for number in range(self.size.num_layers):
            states = self.layers[number % len(self.layers)](states, may_attend)
        return states


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.trunc_normal_(module.weight, std=INITIAL_STDDEV)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
    if isinstance(module, PositionalEncoding):
        nn.init.trunc_normal_(module.table, std=INITIAL_STDDEV)


def loss_sums(batch: dict[str, Tensor], logits: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return sums over a batch, which add up over ranks and steps.

    Returns
    -------
    dict of float32 scalars
        "masked_lm_loss" and "masked_lm_correct" over "masked_lm_count" tokens; with pairs "pair_loss" and
        "pair_correct" over "pair_count" rows.

    """
    weights = batch["masked_lm_weights"]
    sums = _sums("masked_lm", batch["masked_lm_ids"].long(), logits["masked_lm"], weights)
    if "pair" in logits:
        labels = batch["next_sentence_labels"][:, 0].long()
        sums |= _sums("pair", labels, logits["pair"], torch.ones_like(labels, dtype=torch.float32))
    return sums


def _sums(name: str, labels: Tensor, logits: Tensor, weights: Tensor) -> dict[str, Tensor]:
    losses = functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none")
    is_correct = (logits.argmax(-1) == labels).float()
    return {
        f"{name}_loss": (losses * weights.flatten()).sum(),
        f"{name}_correct": (is_correct * weights).sum(),
        f"{name}_count": weights.sum(),
    }
