# SPDX-License-Identifier: Apache-2.0
"""English prose that every Python carries, as text files for the builder.

It is the topics of the language reference, and the docstrings of the standard library.

Owns what is taken and how it becomes one paragraph a line. Nothing is imported or run: docstrings
are read from the sources. Python's documentation is under the PSF licence.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["write_corpus"]

_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "pydoc_data"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def write_corpus(folder: Path) -> list[Path]:
    """Write the corpus: one paragraph a line, a blank line between documents; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, documents in (
        ("language-topics.txt", _topics()),
        ("stdlib-docstrings.txt", _docstrings()),
    ):
        path = folder / name
        texts = ("\n".join(_paragraphs(document)) for document in documents)
        path.write_text("\n\n".join(text for text in texts if text) + "\n", encoding="utf-8")
        files.append(path)
    return files


def _paragraphs(document: str) -> Iterator[str]:
    for paragraph in document.split("\n\n"):
        # Lines without a letter or digit are rules under headings, and no prose.
        lines = [line for line in paragraph.split("\n") if any(map(str.isalnum, line))]
        if lines:
            yield " ".join(" ".join(lines).split())


def _topics() -> Iterable[str]:
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return [topics[name] for name in sorted(topics)]


def _docstrings() -> Iterator[str]:
    """Yield the docstrings of each module as one document."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        if _LEFT_OUT.isdisjoint(path.relative_to(root).parts):
            yield "\n\n".join(_docstrings_of(path))


def _docstrings_of(path: Path) -> Iterator[str]:
    with warnings.catch_warnings():
        # Old sources hold escapes that newer compilers warn of.
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            module = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            return  # templates and files of other Python versions hold no prose for us
    for node in ast.walk(module):
        if isinstance(node, _DOCUMENTED):
            docstring = ast.get_docstring(node, clean=False)
            if docstring:
                yield inspect.cleandoc(docstring)
