"""Clocks: the host's two, the axis of a record, pauses of this computer, and rates held against them."""
