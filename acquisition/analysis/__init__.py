"""The read side of examinations: session data, indices, outcomes and suggestions, computed from a record."""
