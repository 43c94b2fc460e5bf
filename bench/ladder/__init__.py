# SPDX-License-Identifier: Apache-2.0
"""What each technique of tf.data's guide brings to reading and masking records: `python -m bench.ladder`."""
