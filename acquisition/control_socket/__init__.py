"""The control socket of the daemon: JSON lines between processes of one account."""
