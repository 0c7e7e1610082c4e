"""Simulated examinations written straight into a record: samples, events, marks, entries, and truth."""

from simulators.sessions.course import Course, Step, answers, course
from simulators.sessions.plan import Plan
from simulators.sessions.recorder import Made, write

__all__ = ["Course", "Made", "Plan", "Step", "answers", "course", "write"]
