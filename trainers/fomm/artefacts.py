"""What a FOMM run leaves behind: sample sheets, resumable state, weights with their card."""

from gan_models import images, weights
from gan_models.fomm.pipeline import FOMMPipeline
from trainers import state
from trainers.fomm import config as options

SHEET_ROWS = 8
SHEET_COLUMNS = ("keypoints", "driving_keypoints", "deformed", "occlusion", "prediction")


def trained(parts):
    """The detector and generator that are for use: averaged ones where the run averages."""
    return (
        parts.get("detector_ema", parts["detector"]),
        parts.get("generator_ema", parts["generator"]),
    )


def description(config, counters):
    """config.json's own part: what the weights are and what they were trained on."""
    return {
        "size": config.size,
        "value_range": [0, 1],
        "framing": {"kind": config.framing, "margin": 0.0},
        "data": config.data,
        "licence": "Apache-2.0"
        if config.data.partition(":")[0] == "puppets"
        else "that of the training clips",
        "images_seen": counters["images_seen"],
    }


def save_sheet(config, folder, parts, clips, counters, device):
    """Rows of source and driving frame with keypoints, the source moved only, occlusion map and
    prediction, drawn by the pipeline the app uses.
    """
    about = {**description(config, counters), "name": folder.name}
    pipeline = FOMMPipeline(*trained(parts), about, device=device)
    whole = (0, 0, config.size, config.size)  # training squares are crops already
    batch = clips.first(SHEET_ROWS)
    rows = []
    for source, driving in zip(batch["source"], batch["driving"], strict=True):
        source, driving = (frame.permute(1, 2, 0).numpy() for frame in (source, driving))
        shown = pipeline.explain(
            source, driving, box=whole, driving_box=whole, size=max(config.size, 128)
        )
        rows += [shown[name] for name in SHEET_COLUMNS]
    images.save_picture(
        folder / f"pairs-{counters['images_seen']:09d}.png",
        images.grid(rows, len(SHEET_COLUMNS)),
        weights=folder.name,
        settings={"images_seen": counters["images_seen"]},
    )


def save(config, folder, parts, counters, position, command, keep):
    """Both artefacts: the full state for resuming, and the networks with their card for use."""
    state.save_state(
        folder / "state.pt",
        {
            **{name: part.state_dict() for name, part in parts.items()},
            "counters": counters,
            "position": position,
        },
    )
    about = description(config, counters)
    detector, generator = trained(parts)
    folders = [folder / "weights"]
    if keep:
        folders.append(folder / "snapshots" / f"{counters['images_seen']:09d}")
    for place in folders:
        weights.save_weights(
            place,
            system="fomm",
            networks={"detector": detector, "generator": generator},
            arguments={
                "detector": options.detector_arguments(config),
                "generator": options.generator_arguments(config),
            },
            config={**about, "name": folder.name},
            card=model_card(folder.name, about, counters, command),
        )


def model_card(name, about, counters, command):
    """The README.md of a weights folder."""
    return f"""# {name}

First Order Motion Model (keypoint detector and generator), {about["size"]} x {about["size"]}
pixels, written by this project's own trainer.

| | |
|---|---|
| command | `{command}` |
| data | {about["data"]} |
| pairs seen | {counters["images_seen"]:,} |
| training time | {counters["seconds"] / 60:.0f} minutes |
| licence | {about["licence"]} |
"""
