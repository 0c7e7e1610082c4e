"""Perfusion indices: pure functions of arrays, each answer with its unit, status, reason and settings."""
