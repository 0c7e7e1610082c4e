"""Examinations: protocols, sessions with their marks, what a person measures, and the outcomes of it all."""
