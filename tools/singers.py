"""Draws the material the tab ships: portraits, and puppets that sing, with the sound they make.

Every number comes from the few below, so the files can be made again on any machine. None of these
puppets is in a training set: their seeds are those of the puppets kept for scoring.
"""

import wave
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gan_models import images, video
from trainers.puppets import (
    ACTION_UNITS,
    FIRST_SCORE_SEED,
    Pose,
    PuppetParameters,
    clip,
    draw,
    random_parameters,
)

SIZE, FPS, SECONDS = 256, 25, 3.6  # of the driving clips
PORTRAIT_SIZE = 512
SOUND_RATE = 22050
# (domain, seed above FIRST_SCORE_SEED) of each portrait.
PORTRAITS = (("cat", 2), ("human", 25), ("robot", 11), ("human", 3), ("cat", 8), ("human", 16))


@dataclass(frozen=True)
class Singer:
    """A driving clip: who sings (humans hum, cats meow, robots beep), and the notes (start and
    length in s, MIDI pitch, loudness).
    """

    domain: str
    seed: int
    notes: tuple[tuple[float, float, float, float], ...]


SINGERS = (
    Singer("human", 21, (
        (0.35, 0.30, 57, 0.8), (0.75, 0.30, 61, 0.9), (1.15, 0.50, 64, 1.0), (1.80, 0.25, 62, 0.8),
        (2.15, 0.25, 61, 0.8), (2.50, 0.80, 57, 1.0),
    )),
    Singer("cat", 22, ((0.50, 0.75, 69, 1.0), (1.55, 0.45, 72, 0.8), (2.30, 1.00, 67, 1.0))),
    Singer("robot", 26, (
        (0.35, 0.18, 62, 0.9), (0.60, 0.18, 62, 0.7), (0.90, 0.35, 69, 1.0), (1.40, 0.18, 66, 0.8),
        (1.65, 0.18, 64, 0.8), (1.95, 0.45, 62, 1.0), (2.55, 0.18, 74, 0.7), (2.85, 0.50, 50, 1.0),
    )),
)  # fmt: skip


def write_portraits(folder: Path) -> None:
    """Every portrait as a labelled .jpg: a face at rest that looks at the visitor."""
    for number, (domain, seed) in enumerate(PORTRAITS, 1):
        puppet = random_parameters(FIRST_SCORE_SEED + seed, domain)
        puppet = replace(puppet, pose=Pose(), action_units=(0.0,) * len(ACTION_UNITS))
        settings = {"domain": domain, "seed": FIRST_SCORE_SEED + seed}
        file, picture = folder / f"portrait-{number}.jpg", draw(puppet, PORTRAIT_SIZE).picture
        images.save_picture(file, picture, weights="puppets", settings=settings)


def write_singer(singer: Singer, folder: Path) -> None:
    """The driving clip of `singer` as .mp4 with its sound, and its poster as .jpg."""
    pictures = [draw(parameters, SIZE).picture for parameters in performance(singer)]
    settings = {"domain": singer.domain, "seed": FIRST_SCORE_SEED + singer.seed}
    label = {"weights": "puppets", "settings": settings}
    file = folder / f"driving-{singer.domain}.mp4"
    sound = file.with_suffix(".wav")
    write_sound(sound, sing(singer))
    video.write_clip(file, pictures, FPS, audio=sound, **label)
    sound.unlink()
    images.save_picture(file.with_suffix(".jpg"), pictures[len(pictures) // 3], **label)


def performance(singer: Singer) -> list[PuppetParameters]:
    """The frames of the clip: from rest into motion, the mouth open as far as the voice is loud."""
    count = round(SECONDS * FPS)
    moving = clip(FIRST_SCORE_SEED + singer.seed, count, singer.domain, FPS)
    times = np.arange(count) / FPS
    openness = loudness(singer, times)
    # The first frame looks straight ahead, as the portraits do: relative motion starts from there.
    begun = np.clip(times / 0.4, 0, 1) ** 2 * (3 - 2 * np.clip(times / 0.4, 0, 1))
    mouth = [ACTION_UNITS.index(unit) for unit in (20, 23, 25, 26)]
    frames = []
    for frame, amount, opened in zip(moving, begun, openness, strict=True):
        numbers = {
            name: rest + amount * (getattr(frame.pose, name) - rest)
            for name, rest in vars(Pose()).items()
        }
        units = amount * np.array(frame.action_units)
        units[mouth] *= 0.2
        units[mouth[2:]] += opened * np.array([0.9, 0.8])
        face = tuple(float(unit) for unit in units.clip(0, 1))
        frames.append(replace(frame, pose=Pose(**numbers), action_units=face))
    return frames


def loudness(singer: Singer, times: np.ndarray) -> np.ndarray:
    """How loud the voice is at `times` (s): 0 between notes, up to 1 within."""
    level = np.zeros(len(times))
    for start, length, _, strength in singer.notes:
        rise = np.clip((times - start) / 0.07, 0, 1)
        fall = np.clip((start + length - times) / 0.14, 0, 1)
        level = np.maximum(level, strength * rise * fall)
    return level


def sing(singer: Singer) -> np.ndarray:
    """(samples,) float in [-1, 1]: each note a sum of harmonics, shaped by an opening mouth."""
    times = np.arange(round(SECONDS * SOUND_RATE)) / SOUND_RATE
    level, pitch = loudness(singer, times), np.full(len(times), singer.notes[0][2], float)
    for start, length, note, _ in singer.notes:
        at = (times >= start) & (times < start + length)
        pitch[at] = note + _glide(singer.domain, (times[at] - start) / length, times[at])
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    phase = 2 * np.pi * np.cumsum(frequency) / SOUND_RATE
    sound = np.zeros(len(times))
    for harmonic in range(1, 19):
        tone = harmonic * frequency
        weight = _resonance(tone, level) / harmonic
        if singer.domain == "robot":
            weight = (harmonic % 2) / harmonic**1.3  # odd harmonics: hollow, like a square wave
        sound += np.where(tone < SOUND_RATE / 2.2, weight, 0) * np.sin(harmonic * phase)
    if singer.domain == "robot":
        sound *= 0.75 + 0.25 * np.sign(np.sin(2 * np.pi * 31 * times))
    sound *= level
    return 0.6 * sound / max(np.abs(sound).max(), 1e-6)


def _glide(domain: str, progress: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Semitones around the note: a vibrato, a cat's rise and fall, or nothing."""
    if domain == "human":
        return 0.25 * np.sin(2 * np.pi * 5.5 * times) * progress - 1.2 * np.exp(-progress * 12)
    if domain == "cat":
        return 4 * np.sin(np.pi * progress**0.7) - 3 * progress
    return np.zeros(len(times))


def _resonance(tone: np.ndarray, opened: np.ndarray) -> np.ndarray:
    """How strongly a mouth that is `opened` lets a `tone` (Hz) through: three formants."""
    formants = ((320 + 480 * opened, 130, 1.0), (1000 + 250 * opened, 180, 0.6), (2600, 300, 0.25))
    return 0.04 + sum(s * np.exp(-(((tone - f) / (2 * width)) ** 2)) for f, width, s in formants)


def write_sound(path: Path, samples: np.ndarray) -> None:
    """Mono 16-bit .wav."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        file.writeframes((samples * 32767).round().astype("<i2").tobytes())
