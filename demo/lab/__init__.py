# SPDX-License-Identifier: LGPL-2.1-or-later
"""A laboratory of whole devices on one machine: networks (net), devices (device) and their first process (boot)."""
