# SPDX-License-Identifier: Apache-2.0
"""From tokenised documents to rows: what goes into which row, identities, columns."""
