# SPDX-License-Identifier: Apache-2.0
"""A BERT vocab.txt, turned into the tokenizer.json of the same WordPiece.

Owns how the file is read, and the rule by which case and accents are told from its pieces. Knows
nothing of tokenising.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from maskcore.records._errors import RecordsError, require

__all__ = ["is_lowercase", "strips_accents", "tokenizer_json_of_vocabulary"]

CONTINUING_PREFIX = "##"


def tokenizer_json_of_vocabulary(
    text: str, source: str, *, lowercase: bool | None = None, strip_accents: bool | None = None
) -> str:
    """Return the tokenizer.json of a vocab.txt: one piece a line, its id the number of the line.

    The settings are those of BERT's tokenization.py in Hugging Face's `BertTokenizer`: punctuation
    and ideographs apart, words of over 100 characters unknown.

    Parameters
    ----------
    text : the file
    source : what errors call it
    lowercase : bool, optional
        By default whether no piece holds an upper-case letter, names in brackets apart.
    strip_accents : bool, optional
        By default whether `lowercase` holds and no piece has an accent (or is Hangul, which is
        taken apart like an accent).

    Raises
    ------
    RecordsError
        For an empty line, a piece that stands twice, or no [UNK].

    """
    pieces = text.removesuffix("\n").replace("\r\n", "\n").removesuffix("\r").split("\n")
    vocabulary: dict[str, int] = {}
    for number, line in enumerate(pieces):
        piece = line.strip()
        if not piece or piece in vocabulary:
            problem = "an empty line" if not piece else f"{piece!r} for the second time"
            raise RecordsError(
                f"{source}: line {number + 1} is {problem}; a vocab.txt has one piece a line, and its "
                "ids are the numbers of the lines"
            )
        vocabulary[piece] = number
    if "[UNK]" not in vocabulary:
        raise RecordsError(f"{source}: the vocabulary lacks [UNK]; pass a BERT vocab.txt")
    lowercase = is_lowercase(vocabulary) if lowercase is None else lowercase
    if strip_accents is None:
        strip_accents = lowercase and strips_accents(vocabulary)
    library = require("tokenizers")
    tokenizer = library.Tokenizer(
        library.models.WordPiece(
            vocabulary, unk_token="[UNK]", continuing_subword_prefix=CONTINUING_PREFIX
        )
    )
    tokenizer.normalizer = library.normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=strip_accents
    )
    tokenizer.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = library.decoders.WordPiece(prefix=CONTINUING_PREFIX)
    named = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    tokenizer.add_special_tokens([token for token in named if token in vocabulary])
    return str(tokenizer.to_str(pretty=True)) + "\n"


def is_lowercase(pieces: Iterable[str]) -> bool:
    """Whether no piece holds an upper-case letter; names such as [CLS] and [unused1] do not count.

    >>> is_lowercase(["[CLS]", "the", "##s"]), is_lowercase(["[CLS]", "The"])
    (True, False)
    """
    return not any(piece != piece.lower() for piece in _without_names(pieces))


def strips_accents(pieces: Iterable[str]) -> bool:
    """Whether no piece would be changed by taking accents away.

    >>> strips_accents(["cafe"]), strips_accents(["caf\u00e9"]), strips_accents(["\ud55c"])
    (True, False, False)
    """
    return all(_without_accents(piece) == piece for piece in _without_names(pieces))


def _without_names(pieces: Iterable[str]) -> Iterable[str]:
    return (piece for piece in pieces if not (piece.startswith("[") and piece.endswith("]")))


def _without_accents(piece: str) -> str:
    apart = unicodedata.normalize("NFD", piece)
    return "".join(letter for letter in apart if unicodedata.category(letter) != "Mn")
