"""Simulated examinations straight into a record: `plan` asks for one, `course` says what happens, `recorder` writes."""
