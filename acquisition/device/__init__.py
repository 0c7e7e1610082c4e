"""One device while the service runs: its connection, supervisor, stream sequencer and tape; probing and replay."""
