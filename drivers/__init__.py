"""Instrument protocols, one file each: frames and a Driver, without I/O, clock, thread or asyncio."""
