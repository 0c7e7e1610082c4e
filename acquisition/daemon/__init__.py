"""The daemon: composition of all parts, its process, standing alarms, and the wall clock of its record."""
