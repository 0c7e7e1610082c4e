"""Moving a patient's belt: what a site must say of it, and the control that drivers of treadmills share."""

from acquisition.treadmill.control import Command, Control, Do, Motion
from acquisition.treadmill.limits import BeltOptions, Limits

__all__ = ["BeltOptions", "Command", "Control", "Do", "Limits", "Motion"]
