# SPDX-License-Identifier: Apache-2.0
"""What a build costs beside its tokeniser alone: `python -m bench.builder`."""
