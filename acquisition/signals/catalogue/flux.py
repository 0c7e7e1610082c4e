"""Indices of skin blood flux: reactive hyperaemia, local heating, flowmotion, posture, iontophoresis."""

from __future__ import annotations

from typing import Any

from acquisition.signals.catalogue.index import FLUX, Detectable, Index
from acquisition.signals.kit.bands import SETS
from acquisition.signals.kit.plausible import PU

CONDUCTANCE = f"{PU}/mm[Hg]"
CHARGE = "mC"
FINGER = Detectable(69.0, True, "finger PORH, CV 25 % (PMID 20064535)")


def _of(name: str, unit: str, long_name: str, *needs: str, **more: Any) -> Index:
    return Index(name, unit, long_name, ("flux", *needs), FLUX, **more)


PORH = (
    _of("rest_flow", PU, "flux at rest before the occlusion"),
    _of("biological_zero", PU, "biological zero: flux of the occluded limb"),
    _of("hyperaemia", "1", "whether there was a hyperaemia (1) or none (0)"),
    _of("peak_flow", PU, "peak flux after the release", detectable=FINGER, decides=("porh",)),
    _of("peak_increase", PU, "peak flux less the flux at rest"),
    _of("peak_percent_of_rest", "%", "peak flux in per cent of rest"),
    _of(
        "peak_percent_increase", "%", "increase from rest to peak in per cent of rest",
        synonyms=("porh", "ldf", "laser-doppler", "reactivity"), endpoint="reactivity", endpoint_protocol="porh",
    ),
    _of("peak_percent_of_rest_corrected", "%", "peak in per cent of rest, both less the biological zero"),
    _of("hyperaemic_ratio", "1", "peak flux over flux at rest"),
    _of("hyperaemic_reserve", "1", "peak over rest, both less the biological zero"),
    _of("latency", "s", "time from the release to the first return to rest", "cuff"),
    _of("time_to_peak", "s", "time from the release to the peak"),
    _of("half_rise", "s", "time from the release to half of the rise"),
    _of("recovery_75", "s", "time from the release to the fall to three quarters of the increase"),
    _of("half_recovery", "s", "time from the release to the fall to half of the increase"),
    _of("half_recovery_from_peak", "s", "time from the peak to the fall to half of the increase"),
    _of("recovery_25", "s", "time from the release to the fall to a quarter of the increase"),
    _of("recovery_time", "s", "time from the release to the return to rest"),
    _of("mean_slope", f"{PU}/s", "mean slope from the biological zero to the peak"),
    _of("peak_over_time", f"{PU}/s", "peak flux over the time to it"),
    _of("max_slope", f"{PU}/s", "steepest rise before the peak"),
    _of("occlusion_area", f"{PU}.s", "flow debt: area below rest during the occlusion"),
    _of("hyperaemia_area", f"{PU}.s", "area above rest during the hyperaemia"),
    _of("repayment", "1", "hyperaemia area over flow debt"),
    _of("auc_60", f"{PU}.s", "area above the biological zero in the first minute after the release"),
    _of("auc_180", f"{PU}.s", "area above the biological zero in three minutes after the release"),
    _of("porh_index", "1", "area of the first minute after the release over that of the minute before inflation"),
)  # fmt: skip
"""In the order of a report."""
DECAY = (
    _of("decay_amplitude", PU, "amplitude of the stretched exponential after the peak"),
    _of("decay_time_constant", "s", "time constant of the stretched exponential after the peak"),
    _of("decay_shape", "1", "exponent of the stretched exponential after the peak"),
    _of("decay_offset", PU, "offset of the stretched exponential after the peak"),
    _of("decay_r_squared", "1", "how much of the fall the stretched exponential explains"),
)
HEATING = (
    _of("heating_baseline", PU, "flux before heating"),
    _of("initial_peak", PU, "initial peak (axon reflex)"),
    _of("time_to_initial_peak", "s", "time from heating to the initial peak"),
    _of("nadir", PU, "nadir after the initial peak"),
    _of("slope_after_peak", f"{PU}/min", "slope after the initial peak"),
    _of("plateau", PU, "plateau of local heating", decides=("heating",)),
    _of("maximum", PU, "maximal vasodilatation at 44 Cel"),
    _of("plateau_increase", PU, "plateau less baseline"),
    _of("plateau_over_baseline", "1", "plateau over baseline"),
    _of("maximum_over_baseline", "1", "maximum over baseline"),
    _of("auc_0_300", f"{PU}.s", "area of the first five minutes of heating"),
    *(
        _of(f"{name}_percent_of_maximum", "%", f"{words} in per cent of the maximum")
        for name, words in (
            ("heating_baseline", "baseline"), ("initial_peak", "initial peak"), ("nadir", "nadir"),
            ("plateau", "plateau"),
        )
    ),
)  # fmt: skip
CONDUCTANCES = tuple(
    _of(
        f"{name}_cvc", CONDUCTANCE, f"cutaneous vascular conductance: {words} over arterial pressure", "entry",
        detectable=FINGER if name == "peak_flow" else None,
    )
    for name, words in (
        ("rest_flow", "flux at rest"), ("peak_flow", "peak flux"), ("heating_baseline", "baseline of heating"),
        ("plateau", "plateau of heating"), ("maximum", "maximum of heating"),
    )
)  # fmt: skip
BAND_MEASURES = (
    ("power", "1", "mean wavelet power"),
    ("energy", "1", "energy: integral of the power over ln f"),
    ("relative_energy", "1", "share of the energy of the first five bands"),
    ("relative_energy_all", "1", "share of the energy of all bands"),
    ("amplitude", "1", "mean wavelet amplitude"),
    ("median_ratio", "1", "median of the power over that of all bands"),
    ("peak_frequency", "Hz", "frequency of the greatest power"),
)
FLOWMOTION = tuple(
    _of(
        f"{band}_{measure}", unit, f"{words} of the {band.replace('_', ' ')} band",
        decides=("flowmotion",) if (band, measure) == ("myogenic", "power") else (),
    )
    for band in dict.fromkeys(band.name for bands in SETS.values() for band in bands.bands)
    for measure, unit, words in BAND_MEASURES
    if (band, measure) != ("endothelial_independent", "relative_energy")
)  # fmt: skip
POSTURE = (
    _of("supine_flow", PU, "flux lying"),
    _of("dependent_flow", PU, "flux with the limb hanging"),
    _of("veno_arteriolar_reflex", "%", "fall of flux on hanging the limb (veno-arteriolar reflex)"),
    _of("veno_arteriolar_reflex_ratio", "1", "flux hanging over flux lying"),
)
IONTOPHORESIS = (
    _of("iontophoresis_baseline", PU, "flux before the first dose"),
    _of("peak_response", PU, "greatest response to a dose"),
    _of("peak_response_increase", PU, "greatest response less baseline"),
    _of("peak_response_percent", "%", "greatest response in per cent of baseline"),
    _of("response_area_by_charge", f"{PU}.{CHARGE}", "area of the response over charge"),
    _of("response_area_by_time", f"{PU}.s", "area of the response over time"),
    _of("dose_response", PU, "response to each dose"),
    _of("greatest_effect", PU, "greatest effect of the logistic dose-response curve"),
    _of("half_effective_charge", CHARGE, "charge of half of the greatest effect"),
    _of("hill_slope", "1", "Hill slope of the logistic dose-response curve"),
)
"""Computed from arrays; no protocol of an examination measures them yet."""
