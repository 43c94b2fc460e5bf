# SPDX-License-Identifier: Apache-2.0
"""Print the table of src/maskcore/records/_unicode_classes.py, by the Unicode of this Python.

Owns how the table follows from general categories. To raise its version, run this with a newer Python,
paste what it prints, and raise the builder's version: words of new letters change.
"""

import textwrap
import unicodedata
from collections.abc import Iterator

# The first letter of a general category -> that of its class; controls, surrogates and the like: n.
_CLASS = {"L": "l", "M": "l", "N": "l", "P": "s", "S": "s", "Z": "s", "C": "n"}


def runs() -> Iterator[str]:
    """Yield where each run of one class begins, and the class."""
    before = ""
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        # What is not assigned goes on as what is before it.
        now = before if category == "Cn" else _CLASS[category[0]]
        if now != before:
            yield f"{code:x}{now}"
        before = now


if __name__ == "__main__":
    print(f'UNICODE_VERSION = "{unicodedata.unidata_version}"')
    print('_RUNS = """\\')
    print(textwrap.fill(" ".join(runs()), 100))
    print('"""')
