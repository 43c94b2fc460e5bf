# SPDX-License-Identifier: Apache-2.0
"""Maskers to compare with that no package offers: our own versions of published algorithms.

They know nothing of maskcore.
"""
