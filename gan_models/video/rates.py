"""The constant rate that comes nearest to a clip's own times."""

from fractions import Fraction

import numpy as np

USUAL_RATES = [
    *(Fraction(rate) for rate in (1, 2, 5, 6, 8, 10, 12, 15, 16, 18, 20, 24, 25, 30, 48, 50, 60)),
    *(Fraction(rate) for rate in (72, 90, 100, 120, 144, 240)),
    *(Fraction(rate, 1001) for rate in (15000, 24000, 30000, 48000, 60000, 120000, 240000)),
]


def snapped(rate: Fraction, within: float) -> Fraction:
    """The usual rate next to `rate` if it differs by less than the part `within`, else `rate`."""
    nearest = min(USUAL_RATES, key=lambda usual: abs(usual / rate - 1))
    near = abs(float(nearest / rate) - 1) <= within
    return nearest if near else rate.limit_denominator(1001)


def constant_rate(times: np.ndarray, tick: Fraction, otherwise: Fraction) -> tuple[Fraction, bool]:
    """(the rate nearest to frames shown at `times`, whether those times stray from it).

    times: ascending int64, in ticks. otherwise: the rate of a single frame. A time strays when it
    is half a frame or more off the constant rate's; then the rate is that of the closest frames (of
    their lowest tenth, so that one slip does not count), so that no motion is lost.
    """
    times = times[np.concatenate([[True], np.diff(times) > 0])]
    if len(times) < 2:
        return max(otherwise, Fraction(1)).limit_denominator(1001), False
    span = int(times[-1] - times[0])
    mean = Fraction(len(times) - 1) / (span * tick)
    for rate in (snapped(mean, 2 / span + 1e-5), mean.limit_denominator(1001)):
        even = np.arange(len(times)) / float(rate * tick)
        if abs(times - times[0] - even).max() * float(rate * tick) < 0.5:
            return rate, False
    closest = Fraction(max(1, round(float(np.percentile(np.diff(times), 10)))))
    rate = 1 / (closest * tick)
    near = snapped(rate, 0.06)
    return near if near in USUAL_RATES else Fraction(-(-rate // 1)), True
