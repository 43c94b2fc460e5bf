# SPDX-License-Identifier: Apache-2.0
"""The `maskcore` command, also as `python -m maskcore`; `_cli/` does the work.

Owns Ctrl-C before there is a command: loading the libraries takes half a second.
"""

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Load the command line and run it; `maskcore._cli.main`."""
    try:
        from maskcore import _cli  # noqa: PLC0415 - it brings the libraries

        return _cli.main(argv)
    except KeyboardInterrupt:
        sys.stderr.write("maskcore: interrupted\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
