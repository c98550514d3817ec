"""What a film holds: when each of its frames is shown, how large it is, and in which colours.

Containers state a rate and a length, and both are often wrong (variable rates, edit lists, live
recordings). So one pass decodes the first frame and lists every packet without decoding it, which
takes about as long as reading the file. Only where packets do not say when they are shown (old
.avi, .mpg) or hold frames that are never shown (VP8) is the whole clip decoded.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from gan_models.errors import Unreadable
from gan_models.images import MAX_PIXELS, a_file
from gan_models.video import ffmpeg

LISTING_LIMIT = 60.0  # seconds for listing a clip's packets or frames
LONGEST = 24 * 3600  # seconds; timestamps that span more are damaged
LEFT_OUT = 1  # seconds that a container states and does not hold where it was cut off
TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}  # of high dynamic range, as ffmpeg calls them
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # others do not look for transparency
MICROSECOND = Fraction(1, 1_000_000)


@dataclass(frozen=True)
class Found:
    """A film track. Times are seconds as the file counts them (ffmpeg's -copyts)."""

    first: Fraction  # when the first frame is shown
    seconds: Fraction  # from there to the end of the last frame
    last: Fraction  # how long the last frame is shown
    frames: int  # as they are stored, before any is repeated or left out for a constant rate
    rate: Fraction  # the constant rate that comes nearest to the frames' own times
    varying: bool  # the frames' own times are not constant
    width: int  # as shown: upright, with square pixels
    height: int
    alpha: bool
    hdr: str | None  # the transfer function of high dynamic range
    interlaced: bool
    decoder: str | None  # a decoder to use in place of ffmpeg's choice
    sound: bool | None  # whether the code of the first sound track is known, None: there is none
    cut_off: bool  # the file ends before the film does
    comment: str | None


def opened(path: Path) -> av.container.InputContainer:
    """The file, for a `with` block; Unreadable where nothing can be made of it."""
    if a_file(path).stat().st_size == 0:
        raise Unreadable(f"{path} is empty: use another copy of it.")
    options = {"protocol_whitelist": "file", "format_whitelist": ffmpeg.FORMATS}
    how = {"options": options, "metadata_errors": "replace", "timeout": LISTING_LIMIT}
    try:
        return av.open(f"file:{path}", **how)
    except (OSError, av.FFmpegError) as error:
        raise Unreadable(
            f"{path} is not a clip that can be read ({error.strerror}): it is damaged or cut off, "
            "or no .mp4, .mov, .webm or .gif."
        ) from error


def film_of(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first film track; the cover of a song is none."""
    films = (s for s in container.streams.video if not s.disposition & Disposition.attached_pic)
    return next(films, None)


def probe(path: Path) -> Found:
    """Look through the film track of `path`. Raises Unreadable for anything that is no film."""
    with opened(path) as container:
        film, sounds = film_of(container), container.streams.audio
        if film is None:
            kind = "only sound and no film" if sounds else "no film"
            raise Unreadable(f"{path} holds {kind}: choose a clip with pictures.")
        coded = film.codec_context
        if coded is None:
            raise Unreadable(f"{path} is coded in a way that cannot be read: convert it to H.264.")
        _check_size(path, coded.width, coded.height)
        picture, shown, cut_off = _listed(container, film)
        name = coded.codec.canonical_name
        if picture and (name == "vp8" or any(at is None for at, _ in shown)):
            with opened(path) as again:
                shown = _listed(again, film_of(again), decode=True)[1]
        if picture is None or not shown:
            raise Unreadable(f"{path} holds no frame that can be shown: it may be damaged.")
        stated = film.metadata.get("alpha_mode") == "1" and name in ALPHA_DECODERS
        pixels = picture.format
        return Found(
            *_timing(path, picture.pts, shown, film),
            *_shown_size(path, picture, film),
            alpha=stated or pixels.has_palette or any(part.is_alpha for part in pixels.components),
            hdr=TRANSFERS.get(picture.color_trc),
            interlaced=picture.interlaced_frame,
            decoder=ALPHA_DECODERS[name] if stated else None,
            sound=sounds[0].codec_context is not None if sounds else None,
            cut_off=cut_off,
            comment=container.metadata.get("comment"),
        )


def _listed(container, film, decode=False) -> tuple[av.VideoFrame | None, list, bool]:
    """(first frame, (time, length) in ticks of each packet, or frame, whether the end is missing).

    A listing that takes too long ends with one frame at the time that the container states.
    """
    picture, shown, cut_off, reached = None, [], False, Fraction(0)
    start, stated = ((n or 0) * MICROSECOND for n in (container.start_time, container.duration))
    limit = time.monotonic() + LISTING_LIMIT
    try:
        for packet in container.demux():
            if time.monotonic() > limit:
                return picture, [*shown, (round((start + stated) / film.time_base), 0)], False
            frames = []
            if packet.stream is film and (decode or picture is None):
                with suppress(av.FFmpegError):  # a damaged frame; a later one may be whole
                    frames = packet.decode()
                picture = next(iter([picture] if picture else frames), None)
            if decode:
                shown += [(frame.pts, frame.duration) for frame in frames]
            elif packet.stream is film and packet.size and not packet.is_discard:
                shown.append((packet.pts, packet.duration))
            if packet.size:
                cut_off = packet.is_corrupt
                at = packet.pts if packet.dts is None else packet.dts
                reached = max(reached, (at or 0) * packet.time_base - start)
    except av.FFmpegError:
        cut_off = True
    return picture, shown, cut_off or stated - reached > LEFT_OUT


# --- what it means ----------------------------------------------------------------------------


def _shown_size(path: Path, picture: av.VideoFrame, film) -> tuple[int, int]:
    """(width, height) with square pixels; the longer side of a pixel is drawn out, none is lost."""
    width, height, across = picture.width, picture.height, film.sample_aspect_ratio or 1
    if 1 / 16 <= across <= 16:  # others are damaged
        width, height = round(width * max(1, across)), round(height * max(1, 1 / across))
    _check_size(path, width, height)
    return (height, width) if 89 <= abs(picture.rotation) <= 91 else (width, height)


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        most = f"{MAX_PIXELS // 1_000_000} million pixels"
        raise Unreadable(f"{path} has more than {most} per frame: make it smaller first.")


def _timing(path: Path, first: int | None, shown: list[tuple], film) -> tuple:
    """(first, seconds, last, frames, rate, varying) of `Found`."""
    own, tick = film.average_rate and snapped(film.average_rate, 0.001), film.time_base
    step = 1 / ((own or 25) * tick)
    if any(at is None for at, _ in shown):  # no container at all
        shown = [(round(number * step), round(step)) for number in range(len(shown))]
    times, lengths = np.array(shown, dtype=object).T
    times = times.astype(np.int64)
    order = np.argsort(times, kind="stable")
    times = times[order]
    if first is not None and (times >= first).any():  # what is decoded and not cut away
        times = times[times >= first]
    span = int(times[-1] - times[0])
    usual = span / (len(times) - 1) if span else float(step)
    # A packet's length reaches to the packet that is decoded next, not to the one shown next
    last = lengths[-1] if order[-1] == len(order) - 1 else None
    last = int(last or max(1, round(usual)))
    if (span + last) * tick > LONGEST:
        raise Unreadable(f"{path} is damaged: its times span more than a day.")
    rate, varying = constant_rate(times, tick, own or 1 / (last * tick))
    return int(times[0]) * tick, (span + last) * tick, last * tick, len(times), rate, varying


# --- constant rates ---------------------------------------------------------------------------

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
    closest = max(1, round(float(np.percentile(np.diff(times), 10))))
    rate = 1 / (closest * tick)
    near = snapped(rate, 0.06)
    return near if near in USUAL_RATES else Fraction(-(-rate // 1)), True
