# SPDX-License-Identifier: Apache-2.0
"""The parts of tokenising: models, the word cache, word boundaries that users give, training.

`tokenise` is the door; nothing else of the records imports from here.
"""
