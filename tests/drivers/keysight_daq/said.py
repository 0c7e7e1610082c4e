"""Readings of a digitiser's driver, by stream and kind."""

import numpy as np

from acquisition.model import Quality

INVALID, RANGE = Quality.INVALID, Quality.RANGE


def stream(said, name):
    """All samples of one stream: device time (n,), empty for none, values, quality, and how many were lost."""
    readings = [r for r in said.readings if r.stream == name]
    if not readings:
        return np.empty(0), np.empty(0), np.empty(0), 0
    return (
        np.concatenate([np.empty(0) if r.device_time is None else r.device_time for r in readings]),
        np.concatenate([r.values[:, 0] for r in readings]),
        np.concatenate([r.quality[:, 0] for r in readings]),
        sum(r.lost for r in readings),
    )


def texts(said, kind):
    return [n.text for n in said.notices if n.kind == kind]


def unplugged(host):
    """A host whose link breaks instead of ending with a farewell."""
    host.stop = lambda at: None
    return host
