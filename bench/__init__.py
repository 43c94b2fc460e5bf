# SPDX-License-Identifier: Apache-2.0
"""Speed of maskcore and of what people use instead, in one run; nothing in src/ knows of it."""
