"""Measurements: each beside a named baseline in the same run, since machines are noisy."""
