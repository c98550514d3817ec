"""What a ProGAN run leaves behind: sample sheets, resumable state, weights with their card."""

from gan_models import images, weights
from gan_models.progan.pipeline import ProGANPipeline
from trainers import state
from trainers.progan.config import schedule


def generator_arguments(config, num_classes):
    return {
        "resolution": config.resolution,
        "latent_size": config.latent_size,
        "channels": list(config.channels),
        "label_size": num_classes,
    }


def finished_size(phase):
    """The largest resolution whose level is wholly faded in."""
    return phase.resolution if phase.alpha >= 1 else phase.resolution // 2


def description(config, num_classes, classes, counters, phase):
    """config.json's own part: what the weights are and what they were trained on."""
    return {
        "size": finished_size(phase),
        "first_size": config.start_resolution,
        "value_range": [-1, 1],
        "framing": {"kind": "centre", "margin": 0.0},
        "classes": classes if num_classes else [],
        "data": config.data,
        "licence": "Apache-2.0"
        if config.data.partition(":")[0] == "puppets"
        else "that of the training pictures",
        "images_seen": counters["images_seen"],
    }


def save_sheet(config, folder, generator_ema, num_classes, counters, phase, device):
    """A grid of 8 x 8 samples at the present resolution, drawn by the pipeline the app uses."""
    about = description(config, num_classes, [str(i) for i in range(num_classes)], counters, phase)
    about = {**about, "name": folder.name, "size": phase.resolution}
    pipeline = ProGANPipeline(generator_ema, about, device=device)
    latents = pipeline.latents(config.seed, 64)
    sheet = images.grid(pipeline.sample(latents, resolution=phase.resolution, alpha=phase.alpha), 8)
    images.save_picture(
        folder / f"fakes-{counters['images_seen']:09d}.png",
        sheet,
        weights=folder.name,
        settings={
            "images_seen": counters["images_seen"],
            "resolution": phase.resolution,
            "alpha": phase.alpha,
        },
    )


def save(config, folder, parts, counters, position, pictures, command, keep):
    """Both artefacts: the full state for resuming, and the averaged generator with its model card
    for use.
    """
    state.save_state(
        folder / "state.pt",
        {
            **{name: part.state_dict() for name, part in parts.items()},
            "counters": counters,
            "position": position,
        },
    )
    num_classes = pictures.num_classes if config.labels else 0
    phase = schedule(config, counters["images_seen"])
    about = description(config, num_classes, pictures.classes, counters, phase)
    folders = [folder / "weights"]
    if keep:
        folders.append(folder / "snapshots" / f"{counters['images_seen']:09d}")
    for place in folders:
        weights.save_weights(
            place,
            system="progan",
            networks={"generator": parts["generator_ema"]},
            arguments={"generator": generator_arguments(config, num_classes)},
            config={**about, "name": folder.name},
            card=model_card(folder.name, about, counters, command),
        )


def model_card(name, about, counters, command):
    """The README.md of a weights folder."""
    return f"""# {name}

ProGAN generator (averaged weights), {about["size"]} x {about["size"]} pixels, written by this
project's own trainer.

| | |
|---|---|
| command | `{command}` |
| data | {about["data"]} |
| images seen | {counters["images_seen"]:,} |
| training time | {counters["seconds"] / 60:.0f} minutes |
| licence | {about["licence"]} |
"""
