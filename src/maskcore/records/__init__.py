# SPDX-License-Identifier: Apache-2.0
"""From a corpus to training records, and back to numpy: `build(...)`, `open(...)`.

Public names only. The way of the data: readers -> tokenise (words) -> rows -> schema -> example ->
tfrecord; build joins them, reader goes back. Needs ``pip install 'maskcore[build]'``; importing
this module does not.
"""

from maskcore.config import MaskConfig
from maskcore.records._errors import RecordsError
from maskcore.records._progress import Progress
from maskcore.records.build import build, plan
from maskcore.records.manifest import Manifest
from maskcore.records.reader import Records
from maskcore.records.reader import (
    open_records as open,  # used as maskcore.records.open, like tarfile.open
)
from maskcore.records.reporting.report import write_report as report
from maskcore.records.tokenising.train_tokenizer import train_tokenizer
from maskcore.records.verifying.verify import VerifyResult, verify

__all__ = [
    "Manifest",
    "MaskConfig",
    "Progress",
    "Records",
    "RecordsError",
    "VerifyResult",
    "build",
    "open",
    "plan",
    "report",
    "train_tokenizer",
    "verify",
]
