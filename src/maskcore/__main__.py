# SPDX-License-Identifier: Apache-2.0
"""The `maskcore` command, also as `python -m maskcore`; `_cli/` does the work."""

import sys

from maskcore._cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
