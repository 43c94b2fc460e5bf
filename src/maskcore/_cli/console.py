# SPDX-License-Identifier: Apache-2.0
"""The terminal that commands print on.

Owns what happens when nobody reads any more. Knows nothing of what is printed.
"""

from __future__ import annotations

from typing import Any

from maskcore.records._errors import require

__all__ = ["make_console"]


def make_console(**options: Any) -> Any:
    """Return a rich Console whose broken pipe is a BrokenPipeError, as print's is.

    rich ends the process with exit code 1 instead, so that `maskcore show DIR | head` would fail
    under `set -o pipefail`.
    """
    rich_console: Any = require("rich.console").Console

    class PipeConsole(rich_console):  # type: ignore[misc]  # its base is imported lazily
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return PipeConsole(**options)
