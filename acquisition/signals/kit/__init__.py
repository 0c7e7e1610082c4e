"""The numerical kit that indices share: results, units, smoothing, bands, bins and streaming."""
