# SPDX-License-Identifier: Apache-2.0
"""What is in the records: statistics that merge, and the page that shows them."""
