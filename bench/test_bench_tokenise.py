# SPDX-License-Identifier: Apache-2.0
"""What a token costs: documents in, tokens with their words out, beside HF `encode_batch_fast` alone.

One core, and for ours an empty cache in every round. The text is the demo's; another one is
named by the environment variable MASKCORE_BENCH_TEXT (a text file or a folder of HTML), of which the
first 1.5 million characters are taken. All ids of the text must be equal before one is timed.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from bench import libraries
from bench.builder import corpus
from bench.measure import measure
from maskcore.records.reading.documents import Document
from maskcore.records.tokenising import subword_training
from maskcore.records.tokenising.tokenise import Tokeniser, tokeniser_from_content

TEXT_VARIABLE = "MASKCORE_BENCH_TEXT"
MOST_CHARACTERS = 1_500_000  # encode_batch_fast takes half a second
VOCAB_SIZE = 30_000
KINDS = ("wordpiece", "byte-bpe", "unigram", "sentencepiece")


class Work(NamedTuple):
    """A text, and what tokenises it."""

    documents: list[Document]
    sentences: list[str]
    tokeniser: Tokeniser
    peer: Any
    """A `tokenizers.Tokenizer`; for sentencepiece one with the same pieces."""
    num_tokens: int


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    source = os.environ.get(TEXT_VARIABLE)
    corpus.write_text(Path(source) if source else None, path)
    text = path.read_text(encoding="utf-8")[:MOST_CHARACTERS]
    pages = [[line for line in page.split("\n") if line.strip()] for page in text.split("\n\n")]
    return [
        Document(b"%d" % number, "text", number, [line.strip() for line in page])
        for number, page in enumerate(pages)
        if page
    ]


def unigram_like(content: bytes) -> Any:
    """Return a tokenizer of Hugging Face with the pieces of a SentencePiece model."""
    tokenizers, sentencepiece = libraries.load("tokenizers"), libraries.load("sentencepiece")
    model = sentencepiece.SentencePieceProcessor(model_proto=content)
    pieces = [(model.id_to_piece(i), model.get_score(i)) for i in range(model.get_piece_size())]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=model.unk_id()))
    tokenizer.normalizer = tokenizers.normalizers.NFKC()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    return tokenizer


@pytest.fixture(scope="module", params=KINDS)
def work(request: Any, documents: list[Document]) -> Work:
    """Train a tokeniser of a kind on the text, and check all ids of it."""
    tokenizers = libraries.load("tokenizers")
    sentences = [sentence for document in documents for sentence in document.sentences]
    trained_as = "unigram" if request.param == "sentencepiece" else request.param
    content, file_name = subword_training.trained(lambda: [sentences], trained_as, VOCAB_SIZE)
    if request.param == "unigram":
        peer = unigram_like(content)
        content, file_name = peer.to_str().encode(), "tokenizer.json"
    elif request.param == "sentencepiece":
        peer = unigram_like(content)
    else:
        peer = tokenizers.Tokenizer.from_str(content.decode())
    tokeniser = tokeniser_from_content(content, file_name)
    tokens = tokeniser.encode(documents)
    if request.param == "sentencepiece":
        processor = importlib.import_module("sentencepiece").SentencePieceProcessor()
        processor.LoadFromSerializedProto(content)
        expected = [processor.encode(sentence) for sentence in sentences]
    else:
        encodings = peer.encode_batch_fast(sentences, add_special_tokens=False)
        expected = [encoding.ids for encoding in encodings]
    assert tokens.ids.tolist() == [token for ids in expected for token in ids]
    assert tokens.sentence_lengths.tolist() == [len(ids) for ids in expected if ids]
    assert int(np.count_nonzero(tokens.starts_word)) >= len(tokens.sentence_lengths)
    return Work(documents, sentences, tokeniser, peer, tokens.ids.size)


def measure_tokens(benchmark: Any, name: str, work: Work, function: Any, setup: Any = None) -> None:
    measure(benchmark, name, function, rows_per_call=work.num_tokens, setup=setup)
    if benchmark.stats is not None:  # none where benchmarks are switched off
        benchmark.extra_info["tokens_per_second"] = round(
            work.num_tokens / benchmark.stats.stats.median
        )


def test_ours(benchmark: Any, request: Any, work: Work) -> None:
    kind = request.node.callspec.params["work"]

    def with_empty_cache() -> tuple[tuple[Any, ...], dict[str, Any]]:
        content, file_name = work.tokeniser.content, work.tokeniser.file_name
        return (tokeniser_from_content(content, file_name), work.documents), {}

    measure_tokens(
        benchmark,
        f"tokens-{kind}",
        work,
        lambda tokeniser, documents: tokeniser.encode(documents),
        with_empty_cache,
    )


def test_encode_batch_fast(benchmark: Any, request: Any, work: Work) -> None:
    kind = request.node.callspec.params["work"]
    measure_tokens(
        benchmark,
        f"tokens-{kind}-peer",
        work,
        lambda: work.peer.encode_batch_fast(work.sentences, add_special_tokens=False),
    )
