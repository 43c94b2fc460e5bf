# SPDX-License-Identifier: Apache-2.0
"""The text that builders are given: documentation in HTML as plain text, or what every Python carries.

Owns the extraction: one paragraph a line, a blank line between pages. Knows nothing of tokens.
Debian's packages python3.11-doc (English) and libreoffice-help-ko (Korean) hold such folders.
"""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from maskcore._cli.demo_corpus import write_corpus

_BLOCKS = {
    *("p", "li", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "td", "th", "pre", "div"),
    *("section", "ul", "ol", "dl", "table", "tr", "blockquote", "br", "article", "body"),
}
_LEFT_OUT = {"script", "style", "nav", "head", "footer", "svg"}


class _Paragraphs(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.paragraphs: list[str] = []
        self._pieces: list[str] = []
        self._depth_left_out = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._depth_left_out += tag in _LEFT_OUT
        if tag in _BLOCKS:
            self.flush()

    def handle_endtag(self, tag: str) -> None:
        self._depth_left_out = max(0, self._depth_left_out - (tag in _LEFT_OUT))
        if tag in _BLOCKS:
            self.flush()

    def handle_data(self, data: str) -> None:
        if not self._depth_left_out:
            self._pieces.append(data)

    def flush(self) -> None:
        paragraph = " ".join("".join(self._pieces).split())
        self._pieces.clear()
        if any(map(str.isalnum, paragraph)):
            self.paragraphs.append(paragraph)


def paragraphs_of(page: Path) -> list[str]:
    """Return the text of an HTML page, block by block."""
    parser = _Paragraphs()
    parser.feed(page.read_text(encoding="utf-8", errors="replace"))
    parser.close()
    parser.flush()
    return parser.paragraphs


def _documents(folder: Path) -> Iterator[str]:
    for page in sorted(folder.rglob("*.html")):
        if paragraphs := paragraphs_of(page):
            yield "\n".join(paragraphs)


def write_text(source: Path | None, target: Path) -> int:
    """Write one text file from a folder of HTML pages, a text file, or by default the demo's prose.

    Returns its size in bytes.
    """
    if source is None:
        files = write_corpus(target.parent / "demo-corpus")
        target.write_bytes(b"\n".join(file.read_bytes() for file in files))
    elif source.is_dir():
        target.write_text("\n\n".join(_documents(source)) + "\n", encoding="utf-8")
    else:
        target.write_bytes(source.read_bytes())
    return target.stat().st_size


def repeat_text(source: Path, target: Path, num_bytes: int) -> None:
    """Write the text again and again, each time with words of its own, until it has `num_bytes`."""
    pages = source.read_text(encoding="utf-8").split("\n\n")
    written = turn = 0
    with target.open("w", encoding="utf-8") as stream:
        while written < num_bytes:
            for page in pages:
                written += stream.write(f"turn{turn} {page}\n\n")
                if written >= num_bytes:
                    break
            turn += 1
