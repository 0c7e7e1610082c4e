"""Live readings: the state of everything, the feed of samples, history, metrics and the terminal view."""
