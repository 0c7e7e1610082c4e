"""The numerical kit that indices share: units, ranges, smoothing, spectra, bands, bins and streaming."""
