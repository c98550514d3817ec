"""Fits sliders for head and face on drawn puppets: `python -m trainers.fomm.retargeting WEIGHTS`.

Pairs of pictures of one puppet, in which controls are changed by known amounts, are shown to the
weights' own detector; ridge regressions say how the keypoints follow, and what a portrait's own
keypoints tell of how it already stands. The directions are written into the weights folder;
detector and generator stay as they are. Then unseen puppets are posed and
compared with how they should be drawn, step by step, to see where each slider ends; a table of that
goes to stdout.
"""

import sys
from dataclasses import dataclass, replace

import numpy as np
import safetensors
import torch
import tyro
from tqdm import tqdm

from gan_models.commands import ended_by_a_sentence
from gan_models.errors import UserError
from gan_models.fomm.motion import Motion, hull_area, inverse
from gan_models.fomm.pipeline import FOMMPipeline
from gan_models.fomm.retargeting import HEAD, NETWORK, Directions, described
from gan_models.names import find_weights
from gan_models.weights import FILE, load_weights, read_config, save_weights
from trainers import metrics
from trainers.fomm.puppet_moves import Moves, changing, drawn
from trainers.fomm.scores import followed, movement
from trainers.puppets import PuppetParameters, puppet_seed, random_parameters

# The sliders and their ends; degrees for the head. Stretched and tightened lips (action units 20
# and 23) were tried, too: more than half of the change was lost, so there is no slider for them.
CONTROLS = {
    "yaw": (-30, 30), "pitch": (-15, 15), "roll": (-15, 15), "eyes": (-1, 1), "brows": (-1, 1),
    "mouth": (0, 1), "smile": (-1, 1), "gaze_x": (-1, 1), "gaze_y": (-1, 1),
}  # fmt: skip
UNITS = {  # action units that a control raises below 0, and above
    "eyes": ((45,), (5,)), "brows": ((4,), (1, 2)), "mouth": ((), (25, 26)),
    "smile": ((15,), (12,)),
}  # fmt: skip
ACTIVE = 0.35  # the share of controls that a pair changes
AT_REST = 0.5  # the share of face controls that are at 0 before
RIDGE = 1.0
LEAST = 32  # pairs
PARTS = (-1.5, -1, -0.5, 0.5, 1, 1.5)  # of a slider that are scored; beyond 1 the head alone goes


def with_control(puppet: PuppetParameters, name: str, value: float) -> PuppetParameters:
    """The puppet with a control at `value`; the head that much further than it is."""
    if name in UNITS:
        below, above = (dict.fromkeys(units, max(s * value, 0)) for s, units in
                        zip((-1, 1), UNITS[name], strict=True))  # fmt: skip
        return puppet.with_action_units(below | above)
    start = getattr(puppet.pose, name) if name in HEAD else 0.0
    turned = start + (np.radians(value) if name in HEAD else value)
    return replace(puppet, pose=replace(puppet.pose, **{name: float(turned)}))


@dataclass(frozen=True)
class Pair:
    """A puppet before and after controls were changed by `changes` from `own`, both by name."""

    before: PuppetParameters
    after: PuppetParameters
    own: dict[str, float]
    changes: dict[str, float]


def pair(seed: int) -> Pair:
    """A random puppet, and the same one with some controls changed."""
    random = np.random.default_rng([seed, 5])
    before = after = random_parameters(seed)
    own, changes = {}, {}
    for name, (low, high) in CONTROLS.items():
        active, rests = random.random(2) < (ACTIVE, AT_REST)
        start, end = random.uniform(low, high, 2)
        start = 0.0 if rests or name in HEAD else start
        end = end if active else start
        before, after = with_control(before, name, start), with_control(after, name, end)
        own[name] = np.degrees(getattr(before.pose, name)) if name in HEAD else start
        changes[name] = end - start
    return Pair(before, after, own, changes)


def fit(directions: Directions, pairs: list[Pair], before: Motion, after: Motion) -> None:
    """Set the directions to those that tell best, in the least squares, how keypoints followed.

    before, after: the keypoints of N pairs, N frames each.
    """
    ends = np.array([high for _, high in directions.controls.values()])
    own = np.array([list(pair.own.values()) for pair in pairs]) / ends  # (N, C)
    solve(directions.reading, np.array([described(frame) for frame in frames_of(before)]), own)
    steps = np.array(
        [directions.steps(pair.changes, directions.own(frame))
         for pair, frame in zip(pairs, frames_of(before), strict=True)]
    )  # fmt: skip
    sizes = np.sqrt([hull_area(points) for points in before.value])
    solve(directions.value, steps, (after.value - before.value) / sizes[:, None, None])
    if before.jacobian is not None:
        change = after.jacobian @ inverse(before.jacobian) - np.eye(2)
        solve(directions.jacobian, steps, change)


def frames_of(motion: Motion) -> list[Motion]:
    return [motion[index] for index in range(len(motion))]


def solve(found: torch.Tensor, given: np.ndarray, wanted: np.ndarray) -> None:
    """Fill found (F, ...) so that given (N, F) @ found is near wanted (N, ...)."""
    left = given.T @ given + RIDGE * np.eye(given.shape[1])
    solution = np.linalg.solve(left, given.T @ wanted.reshape(len(wanted), -1))
    found.copy_(torch.from_numpy(solution).view(found.shape))


def fitted(pipeline: FOMMPipeline, count: int) -> Directions:
    """The directions of `count` pairs of puppets."""
    pairs = [pair(puppet_seed(0, index)) for index in range(count)]
    rows = []
    for one in tqdm(pairs, "pairs", disable=None):
        both = [drawn(puppet, pipeline.size, "training")[0] for puppet in (one.before, one.after)]
        rows.append(pipeline.detect(np.stack(both)).rows)
    directions = Directions(CONTROLS, pipeline.num_keypoints, pipeline.has_jacobians)
    fit(directions, pairs, *(Motion.from_rows(side) for side in np.stack(rows, axis=1)))
    return directions


def write(folder, directions: Directions) -> None:
    """Put the directions into a weights folder, in place of earlier ones. UserError."""
    weights = load_weights(folder, "fomm")
    with safetensors.safe_open(folder / FILE, "pt") as file:
        half = any(file.get_slice(key).get_dtype() == "F16" for key in file.keys())
    arguments = {
        "controls": directions.controls,
        "num_keypoints": directions.value.shape[1],
        "jacobians": hasattr(directions, "jacobian"),
    }
    config = {key: value for key, value in weights.config.items() if key != "networks"}
    card = folder / "README.md"
    save_weights(
        folder,
        system="fomm",
        networks=weights.states | {NETWORK: directions},
        arguments=weights.config["networks"] | {NETWORK: arguments},
        config=config,
        card=card.read_text(encoding="utf-8") if card.is_file() else "",
        half=half,
    )


# ---------------------------------------------------------------- how far it comes across


def steps_of(controls: dict) -> list[tuple[str, float]]:
    """(control, value) of everything that is scored."""
    return [
        (name, part * high)
        for name, (low, high) in controls.items()
        for part in PARTS
        if name in HEAD or low <= part * high <= high
    ]


def score(pipeline: FOMMPipeline, count: int) -> list[dict]:
    """Unseen puppets under one control at a time, beside the drawn truth, for each step.

    l1 where the truth changes, of ours, of the source unchanged, and with the keypoints that the
    detector finds in the truth: what is lost beyond that is the directions'. followed: see
    `scores.followed`.
    """
    steps = steps_of(pipeline.controls)
    truth, ours, known = [], [], []
    for index in tqdm(range(count), "puppets", disable=None):
        puppet = random_parameters(puppet_seed(0, index, training=False))
        for name in CONTROLS:
            puppet = puppet if name in HEAD else with_control(puppet, name, 0.0)
        puppets = [puppet, *(with_control(puppet, *step) for step in steps)]
        truth.append([drawn(one, pipeline.size, "training")[0] for one in puppets])
        source = pipeline.encode(truth[-1][0])
        posed = [pipeline.directions.pose(source.motion, dict([step])).rows for step in steps]
        rows = np.concatenate([source.motion.rows, *posed])
        seen = np.concatenate([source.motion.rows, pipeline.detect(np.stack(truth[-1][1:])).rows])
        for moved, pictures in ((rows, ours), (seen, known)):
            pictures.append(pipeline.render(source, Motion.from_rows(moved), relative=False))
    truth, ours, known = map(np.array, (truth, ours, known))
    table = []
    for number, (name, value) in enumerate(steps, 1):
        both = truth[:, [0, number]]
        moves = Moves(both, both, changing(both))
        result = movement(moves, ours[:, [0, number]])
        best = movement(moves, known[:, [0, number]])
        table.append(
            {"control": name, "value": value, "unchanged": result["unchanged"],
             "ours": result["l1"], "true keypoints": best["l1"], "skill": result["skill"],
             "followed": followed(moves, ours[:, [0, number]])}
        )  # fmt: skip
    return table


def show(table: list[dict]) -> None:
    print("| " + " | ".join(table[0]) + " |\n|" + "---|" * len(table[0]))
    for row in table:
        name, value, *numbers = row.values()
        numbers = [*(f"{x:.4f}" for x in numbers[:3]), *(f"{x:.2f}" for x in numbers[3:])]
        print(f"| {name} | {value:g} | " + " | ".join(numbers) + " |")


def command(
    weights: metrics.Weights,
    count: int = 3000,
    scored: int = 24,
    fitting: bool = True,
    device: str = "auto",
) -> None:
    """Fit sliders for head and face on drawn puppets, write them into WEIGHTS, and score them.

    Args:
        weights: Folder, shipped name or run folder of weights that were trained on puppets.
        count: Pairs of pictures to fit on.
        scored: Unseen puppets to score on; 0: none.
        fitting: --no-fitting scores the sliders that are there.
        device: auto, cpu, cuda or cuda:N.
    """
    if count < LEAST or scored < 0:
        raise UserError(f"--count is from {LEAST}, --scored from 0: {count} and {scored} are not.")
    folder = find_weights(weights)
    if "puppet" not in (data := read_config(folder, "fomm")["data"]):
        raise UserError(f"{weights} was trained on {data}: sliders are fitted for puppets only.")
    pipeline = FOMMPipeline.from_weights(folder, device)
    if fitting:
        write(folder, fitted(pipeline, count))
        print(f"{folder}: sliders for {', '.join(CONTROLS)}", file=sys.stderr)
        pipeline = FOMMPipeline.from_weights(folder, device)
    if not pipeline.controls:
        raise UserError(f"{folder} has no sliders: leave out --no-fitting.")
    if scored:
        show(score(pipeline, scored))


def main(args: list[str] | None = None) -> None:
    with ended_by_a_sentence():
        tyro.cli(command, prog="python -m trainers.fomm.retargeting", args=args)


if __name__ == "__main__":
    main()
