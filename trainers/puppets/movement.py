"""Smooth clips: one identity whose head turns, eyes wander and blink, and face changes."""

from dataclasses import replace

import numpy as np

from trainers.puppets.parameters import (
    ACTION_UNITS,
    Pose,
    PuppetParameters,
    random_action_units,
    random_parameters,
)

# How far each pose number swings over time around where the clip's own puppet stands; its limit.
SWING = {
    "yaw": (0.22, 0.42),
    "pitch": (0.1, 0.22),
    "roll": (0.08, 0.22),
    "shift_x": (0.015, 0.035),
    "shift_y": (0.01, 0.02),
    "scale": (0.02, 0.06),
}
SECONDS_PER_EXPRESSION = 1.4
SECONDS_PER_GAZE = 0.9
SECONDS_PER_BLINK = 2.6
BLINK_SECONDS = 0.3


def clip(
    seed: int, num_frames: int, domain: str | None = None, fps: float = 25.0
) -> list[PuppetParameters]:
    """`num_frames` parameters of one identity in smooth motion, at `fps` frames per second.

    A longer clip of the same seed begins with the shorter one: every event is drawn from the seed
    and its own number.
    """
    start = random_parameters(seed, domain)
    random = np.random.default_rng([seed, 1])
    periods = random.uniform(1.6, 5.0, (len(SWING), 2))
    phases = random.uniform(0, 2 * np.pi, (len(SWING), 2))
    return [
        replace(
            start,
            pose=pose_at(start.pose, seed, frame / fps, periods, phases),
            action_units=action_units_at(seed, frame / fps),
        )
        for frame in range(num_frames)
    ]


def pose_at(start: Pose, seed: int, time: float, periods: np.ndarray, phases: np.ndarray) -> Pose:
    """The pose `time` seconds into the clip: two slow waves per number, and a wandering gaze."""
    waves = np.sin(2 * np.pi * time / periods + phases).mean(axis=1)
    numbers = {}
    for (name, (swing, limit)), wave in zip(SWING.items(), waves, strict=True):
        rest = 1.0 if name == "scale" else 0.0
        around = 0.4 * (getattr(start, name) - rest) + swing * wave
        numbers[name] = float(rest + np.clip(around, -limit, limit))
    gaze = moving_target(
        lambda index: np.random.default_rng([seed, 2, index]).uniform(-0.8, 0.8, 2),
        time / SECONDS_PER_GAZE,
        moving=0.2,
    )
    return Pose(**numbers, gaze_x=float(gaze[0]), gaze_y=float(gaze[1]))


def action_units_at(seed: int, time: float) -> tuple[float, ...]:
    """17 intensities: from one random expression to the next, with blinks over them."""
    values = moving_target(
        lambda index: np.array(random_action_units(np.random.default_rng([seed, 3, index]))),
        time / SECONDS_PER_EXPRESSION,
        moving=0.5,
    )
    blink = ACTION_UNITS.index(45)
    window = int(time / SECONDS_PER_BLINK)
    begin = np.random.default_rng([seed, 4, window]).uniform(0.1, 0.8) * SECONDS_PER_BLINK
    progress = (time - window * SECONDS_PER_BLINK - begin) / BLINK_SECONDS
    closing = np.clip(1.6 * np.sin(np.pi * np.clip(progress, 0, 1)), 0, 1)
    values[blink] = max(0.3 * values[blink], closing)
    return tuple(float(value) for value in values)


def moving_target(target, position: float, moving: float) -> np.ndarray:
    """Glides from target(i) to target(i + 1) in the last part `moving` of each unit of position."""
    index = int(position)
    progress = np.clip((position - index - (1 - moving)) / moving, 0, 1)
    ease = progress**2 * (3 - 2 * progress)
    return target(index) * (1 - ease) + target(index + 1) * ease
