# SPDX-License-Identifier: Apache-2.0
"""Which tokenizers' text is not cut for the word cache, and the reason that is given."""

import json

import pytest
import tokenizer_files
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from maskcore.records.tokenising.chunk_rule import NotCut, chunk_rule


def settings_of(model=None, normalizer=None, pre_tokenizer=None, added=()):
    tokenizer = Tokenizer(model or models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.add_tokens(list(added))
    return json.loads(tokenizer.to_str())


METASPACE = pre_tokenizers.Metaspace
UNIGRAM = models.Unigram([("<unk>", 0.0), ("▁", -1.0)], unk_id=0)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({}, "no pre-tokenizer"),
        ({"pre_tokenizer": pre_tokenizers.UnicodeScripts()}, "pre-tokenizer UnicodeScripts"),
        (
            {"pre_tokenizer": METASPACE(), "normalizer": normalizers.Replace(Regex("a|b "), "c")},
            "normalizer Replace",
        ),
        (
            {"pre_tokenizer": METASPACE(), "normalizer": normalizers.Replace("a", "")},
            "normalizer Replace",
        ),
        (
            {"pre_tokenizer": METASPACE(), "normalizer": normalizers.Replace("a", "b c")},
            "normalizer Replace",
        ),
        (
            {"pre_tokenizer": METASPACE(), "normalizer": normalizers.ByteLevel()},
            "normalizer ByteLevel",
        ),
        ({"pre_tokenizer": METASPACE(replacement="_")}, "a marker of its own"),
        ({"pre_tokenizer": METASPACE(), "added": ["x"]}, "added tokens"),
        ({"pre_tokenizer": METASPACE(), "normalizer": normalizers.Prepend("▁")}, "marks spaces"),
        (
            {"pre_tokenizer": METASPACE(prepend_scheme="never"), "normalizer": normalizers.Strip()},
            "strips the space",
        ),
        (
            {"model": UNIGRAM, "pre_tokenizer": METASPACE(split=False)},
            "Unigram model that sees whole sentences",
        ),
        (
            {
                "model": models.BPE({"▁": 0, "a": 1, "a▁": 2}, [("a", "▁")]),
                "normalizer": normalizers.Replace(" ", "▁"),
            },
            "reach across spaces",
        ),
        (
            {"pre_tokenizer": pre_tokenizers.BertPreTokenizer(), "added": ["x y"]},
            "added token 'x y', which takes white space",
        ),
        (
            {
                "pre_tokenizer": tokenizer_files.sequence(
                    pre_tokenizers.WhitespaceSplit(), METASPACE(prepend_scheme="first")
                )
            },
            "Metaspace behind WhitespaceSplit",
        ),
        (
            {"pre_tokenizer": pre_tokenizers.ByteLevel(), "added": ["x"]},
            "adds a space to parts of words",
        ),
        (
            {
                "pre_tokenizer": tokenizer_files.sequence(
                    pre_tokenizers.Split(Regex(r"\w+|\W+"), "isolated"),
                    pre_tokenizers.ByteLevel(use_regex=False),
                )
            },
            "before ByteLevel that are not known",
        ),
    ],
)
def test_what_is_not_known_to_be_exact_is_not_cut(parts, reason):
    found = chunk_rule(settings_of(**parts), None)
    assert isinstance(found, NotCut)
    assert reason in found.reason
