# SPDX-License-Identifier: Apache-2.0
"""A build: plan, scatter, units, processes, commit points, publication."""
