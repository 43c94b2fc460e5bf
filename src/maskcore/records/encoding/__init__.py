# SPDX-License-Identifier: Apache-2.0
"""From columns to the bytes of shards and back: schemas, layouts, TFRecord, Parquet."""
