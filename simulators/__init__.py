"""The device side of every protocol, for benches without hardware; never imported by the service."""
