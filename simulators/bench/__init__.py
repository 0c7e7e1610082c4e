"""A simulated bench: the registry of instruments, their wiring to transports, and tapes that are played."""
