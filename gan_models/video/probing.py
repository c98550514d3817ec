"""What a clip holds: when each of its frames is shown, how large it is, and in which colours.

Containers state a rate and a length, and both are often wrong (variable rates, edit lists, live
recordings). So one run of ffmpeg decodes the first frame and lists every packet of the film without
decoding it, which takes about as long as reading the file. Only where packets do not say when they
are shown (old .avi, .mpg) or hold frames that are never shown (VP8) is the whole clip decoded.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from gan_models.errors import Unreadable
from gan_models.images import MAX_PIXELS
from gan_models.video import ffmpeg

LISTING_LIMIT = 60.0  # seconds for listing a clip's packets or frames
LONGEST = 24 * 3600  # seconds; timestamps that span more are damaged
UNKNOWN = -(2**63)  # ffmpeg's "no timestamp"
DISCARDED = 4  # a packet's flag: decoded, but cut away by an edit list

USUAL_RATES = [
    *(Fraction(rate) for rate in (1, 2, 5, 6, 8, 10, 12, 15, 16, 18, 20, 24, 25, 30, 48, 50, 60)),
    *(Fraction(rate) for rate in (72, 90, 100, 120, 144, 240)),
    *(Fraction(rate, 1001) for rate in (15000, 24000, 30000, 48000, 60000, 120000, 240000)),
]


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
    pixels: str  # ffmpeg's name of the pixel format
    transfer: str  # ffmpeg's name of the transfer function: "smpte2084" and "arib-std-b67" are HDR
    interlaced: bool
    decoder: str | None  # a decoder to use in place of ffmpeg's choice
    has_sound: bool
    unknown_sound: bool  # there is some, in a code that nobody can read
    cut_off: bool  # the file ends before the film does
    still: bool  # one picture in a film's wrapping (HEIC)


def probe(path: Path) -> Found:
    """Look through the film track of `path`. Raises Unreadable for anything that is no film."""
    head = _head(path)
    stored = re.search(r"Video: .*?, (\d+)x(\d+)[, ]", (_film_stream(head) or "") + " ")
    if stored and int(stored[1]) * int(stored[2]) > MAX_PIXELS:
        raise _too_large(path)
    decoder = _alpha_decoder(head)
    chosen = ["-c:v", decoder] if decoder else []
    with ffmpeg.Output(
        # one frame through the decoder, and all packets as a list
        ["-copyts", "-max_pixels", str(MAX_PIXELS), *chosen, *ffmpeg.source(path)]
        + ["-map", "0:V:0", "-frames:v", "1", "-vf", "showinfo=checksum=0", "-f", "null", "-"]
        + ["-map", "0:V:0", "-c", "copy", "-copyinkf", "-f", "framecrc", "pipe:1"],
        limit=LISTING_LIMIT,
    ) as output:
        tick, times, lengths, complete = _packets(output)
        output.finish()
        words, late = output.words(), output.late[0]
    shown = re.search(r"Parsed_showinfo\S* @ \S+\] n: *0 pts: *(\S+) .*", words)
    if shown is None or tick is None:
        raise _refusal(path, head, words)
    colours = re.search(r"color_range:.*color_trc:(\S+)", words[shown.start() :])
    if not complete or "Video: vp8" in head:
        decoded = _decoded(path, tick)
        times, lengths = decoded if decoded[0] else (times, lengths)
    if not times:
        raise _refusal(path, head, words)
    timing = _timing(path, tick, times, lengths, shown[1], head, late)
    width, height = _shown_size(path, shown[0])
    return Found(
        **timing,
        width=width,
        height=height,
        pixels=re.search(r" fmt:(\S+)", shown[0])[1],
        transfer=colours[1] if colours else "unknown",
        interlaced=re.search(r" i:([PTB])", shown[0])[1] != "P",
        decoder=decoder,
        has_sound=_sound_stream(head) is not None,
        unknown_sound=_sound_stream(head) is None and "Audio: none" in head,
        cut_off=_is_cut_off(head, words),
        still=len(times) == 1 and bool(re.search(r"major_brand *: (hei|hev|mif|msf|avi)", head)),
    )


def sound_start(path: Path) -> Fraction | None:
    """When a file without a film begins to sound, in seconds; None for one with a film."""
    head = _head(path)
    if _film_stream(head) is not None:
        return None
    if _sound_stream(head) is None:
        raise Unreadable(f"{path} holds no sound.")
    found = re.search(r"Duration: .*, start: (-?[\d.]+)", head)
    return Fraction(found[1]) if found else Fraction(0)


# --- asking ffmpeg ----------------------------------------------------------------------------


def _head(path: Path) -> str:
    """What ffmpeg says about the file alone, or Unreadable where it can make nothing of it."""
    if not path.exists():
        raise Unreadable(f"{path} does not exist.")
    if not path.is_file():  # a pipe or device would be waited for, for ever
        raise Unreadable(f"{path} is not a file.")
    try:
        if path.stat().st_size == 0:
            raise Unreadable(f"{path} is empty: use another copy of it.")
        with open(path, "rb"):
            pass
        words = ffmpeg.ask(*ffmpeg.source(path), timeout=LISTING_LIMIT).stderr
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror or error}.") from error
    except ffmpeg.subprocess.TimeoutExpired as error:
        raise Unreadable(f"{path} takes too long to read: it may be damaged.") from error
    if "\nInput #0" not in "\n" + words:
        if "moov atom not found" in words:
            raise Unreadable(f"{path} is cut off or damaged (its index is missing): copy it again.")
        raise Unreadable(f"{path} is not a clip that can be read: use .mp4, .mov, .webm or .gif.")
    return words


def _film_stream(head: str) -> str | None:
    """The line of the first film track; the cover of a song is none."""
    lines = re.findall(r"^  Stream #0:.*: Video: .*$", head, re.MULTILINE)
    return next((line for line in lines if "(attached pic)" not in line), None)


def _sound_stream(head: str) -> str | None:
    found = re.search(r"^  Stream #0:.*: Audio: (?!none).*$", head, re.MULTILINE)
    return found[0] if found else None


def _alpha_decoder(head: str) -> str | None:
    """WebM keeps transparency beside the film, where only libvpx looks."""
    if not re.search(r"^ +alpha_mode +: 1", head, re.MULTILINE):
        return None
    film = _film_stream(head) or ""
    wanted = next((lib for name, lib in _ALPHA if f"Video: {name}" in film), None)
    return wanted if wanted and wanted in listed("-decoders") else None


_ALPHA = (("vp8", "libvpx"), ("vp9", "libvpx-vp9"))


def listed(what: str) -> set[str]:
    """The names that this ffmpeg lists under -decoders or -filters."""
    return set(re.findall(r"^ \S+ +(\S+)", ffmpeg.ask(what).stdout, re.MULTILINE))


def _packets(output: ffmpeg.Output) -> tuple[Fraction | None, array, array, bool]:
    """(length of a tick in seconds, times and lengths of the packets in ticks, all times known)."""
    tick, times, lengths, complete = None, array("q"), array("q"), True
    for line in output.lines():
        if line.startswith(b"#tb 0:"):
            tick = Fraction(line.split()[2].decode())
        if line.startswith(b"#"):
            continue
        parts = line.decode("ascii", "replace").split(",")
        if len(parts) < 6:
            continue
        flags = next((int(part.strip()[2:], 16) for part in parts if part.startswith(" F=")), 0)
        if flags & DISCARDED:
            continue
        time = int(parts[2])
        if time == UNKNOWN:
            complete, time = False, int(parts[1])
        times.append(time)
        lengths.append(int(parts[3]))
    return tick, times, lengths, complete


def _decoded(path: Path, tick: Fraction) -> tuple[array, array]:
    """Times and lengths, in ticks, of the frames that decoding the whole clip gives."""
    times, lengths = array("q"), array("q")
    listing = ["-vf", f"settb={tick},scale=16:16:flags=neighbor", "-fps_mode", "passthrough"]
    with ffmpeg.Output(
        ["-v", "error", "-copyts", "-max_pixels", str(MAX_PIXELS), *ffmpeg.source(path)]
        + ["-map", "0:V:0", *listing, "-enc_time_base", str(tick), "-f", "framecrc", "pipe:1"],
        limit=LISTING_LIMIT,
    ) as output:
        _, times, lengths, _ = _packets(output)
        if output.late[0] or output.finish() != 0:
            return array("q"), array("q")
    return times, lengths


def _refusal(path: Path, head: str, words: str) -> Unreadable:
    if _film_stream(head) is None:
        kind = "only sound and no film" if _sound_stream(head) else "no film"
        return Unreadable(f"{path} holds {kind}: choose a clip with pictures.")
    if "max pixel count" in words or "too large" in words:
        return _too_large(path)
    unknown = re.search(r"Video: (none|unknown)|no decoder|Decoder not found", words)
    if unknown:
        return Unreadable(f"{path} is coded in a way that cannot be read: convert it to H.264.")
    return Unreadable(f"{path} holds no frame that can be shown: it may be damaged or cut off.")


def _too_large(path: Path) -> Unreadable:
    return Unreadable(
        f"{path} has more than {MAX_PIXELS // 1_000_000} million pixels per frame: "
        "make it smaller first."
    )


# --- what it means ----------------------------------------------------------------------------


def _shown_size(path: Path, shown: str) -> tuple[int, int]:
    """(width, height) with square pixels; the longer side of a pixel is drawn out, none is lost."""
    width, height = (int(side) for side in re.search(r" s:(\d+)x(\d+)", shown).groups())
    across, down = (int(part) for part in re.search(r" sar:(\d+)/(\d+)", shown).groups())
    if across and down and 1 / 16 <= across / down <= 16:  # others are damaged
        width, height = (
            (round(width * across / down), height)
            if across > down
            else (width, round(height * down / across))
        )
    if width * height > MAX_PIXELS:
        raise _too_large(path)
    return width, height


def _timing(
    path: Path, tick: Fraction, times, lengths, first: str, head: str, late: bool
) -> dict[str, object]:
    """first, seconds, last, frames, rate and varying of `Found`."""
    order = np.argsort(np.asarray(times), kind="stable")
    times, lengths = np.asarray(times)[order], np.asarray(lengths)[order]
    if re.fullmatch(r"-?\d+", first):  # the first that can be decoded and is not cut away
        kept = times >= int(first)
        if kept.any():
            times, lengths = times[kept], lengths[kept]
    stated = _stated_rate(head)
    span = int(times[-1] - times[0])
    usual = span / (len(times) - 1) if span else float(1 / (stated or 25) / tick)
    # A packet's length reaches to the packet that is decoded next, not to the one shown next
    trusted = order[-1] == len(order) - 1 and lengths[-1] > 0
    last = int(lengths[-1]) if trusted else max(1, round(usual))
    ticks = span + last
    if ticks * tick > LONGEST:
        raise Unreadable(f"{path} is damaged: its times span more than a day.")
    rate, varying = constant_rate(times, tick, stated or 1 / (last * tick))
    end = _stated_seconds(head) if late else None  # the listing was too long to be finished
    seconds = max(ticks * tick, end or 0)
    return {
        "first": int(times[0]) * tick,
        "seconds": seconds,
        "last": last * tick,
        "frames": len(times),
        "rate": rate,
        "varying": varying,
    }


def _stated_rate(head: str) -> Fraction | None:
    found = re.search(r", ([\d.]+)(k?) fps", _film_stream(head) or "")
    rate = Fraction(found[1]) * (1000 if found[2] else 1) if found else Fraction(0)
    return _snapped(rate, 0.001) if rate > 0 else None


def _is_cut_off(head: str, words: str) -> bool:
    """Whether ffmpeg missed the end; a browser's recording, which states no length, has none."""
    missed = "partial file|truncat"
    if _stated_seconds(head) is not None:
        missed += "|File ended prematurely"
    return bool(re.search(missed, words, re.I))


def _stated_seconds(head: str) -> Fraction | None:
    found = re.search(r"Duration: (\d+):(\d+):([\d.]+)", head)
    if not found:
        return None
    return int(found[1]) * 3600 + int(found[2]) * 60 + Fraction(found[3])


def _snapped(rate: Fraction, within: float) -> Fraction:
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
    for rate in (_snapped(mean, 2 / span + 1e-5), mean.limit_denominator(1001)):
        even = np.arange(len(times)) / float(rate * tick)
        if abs(times - times[0] - even).max() * float(rate * tick) < 0.5:
            return rate, False
    closest = Fraction(max(1, round(float(np.percentile(np.diff(times), 10)))))
    rate = 1 / (closest * tick)
    near = _snapped(rate, 0.06)
    return near if near in USUAL_RATES else Fraction(-(-rate // 1)), True
