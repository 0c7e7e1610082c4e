"""The kit of a driver author: the driver contract, framing, analog profiles, rate monitor, registry."""
