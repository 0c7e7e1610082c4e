"""Transports of simulated instruments: pseudo-terminals, TCP, UDP, SCPI, HiSLIP and VXI-11."""
