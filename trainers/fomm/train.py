"""FOMM's training loop; the losses are in objective.py."""

import copy
import math
import sys

import torch
from tqdm import tqdm

from gan_models.errors import UserError
from gan_models.fomm.discriminator import Discriminator
from gan_models.fomm.networks import Generator, ImagePyramid, KeypointDetector
from gan_models.names import find_weights
from gan_models.weights import load_weights
from trainers import distributed, run, state
from trainers.fomm import config as options
from trainers.fomm.artefacts import save, save_sheet
from trainers.fomm.objective import RandomTransform, discriminator_loss, generator_loss


def build(config, device, init=""):
    """Fresh networks and optimisers, the same on every process: all that the loop trains.

    init: weights to start from, see `take_over`.
    """
    torch.manual_seed(config.seed)
    networks = {
        "detector": KeypointDetector(**options.detector_arguments(config)),
        "generator": Generator(**options.generator_arguments(config)),
        "discriminator": Discriminator(**options.discriminator_arguments(config)),
    }
    if init:
        take_over(init, networks)
    for name, network in networks.items():
        networks[name] = network.to(device, memory_format=torch.channels_last)
        distributed.synchronise_norms(networks[name])
    distributed.broadcast(*networks.values())
    averaged = {f"{name}_ema": copy.deepcopy(networks[name]) for name in ("detector", "generator")}
    optimizers = {f"optimizer_{name}": adam(network) for name, network in networks.items()}
    return {**networks, **(averaged if config.ema_decay else {}), **optimizers}


def take_over(name, networks):
    """Start from finished weights. The discriminator starts afresh where it is of another kind, as
    from vox to vox-adv; the official code does so too, without a word.
    """
    weights = load_weights(find_weights(name), system="fomm")
    for role, network in networks.items():
        theirs = weights.states.get(role, {})
        ours = network.state_dict()
        fits = {key: value.shape for key, value in ours.items()} == {
            key: value.shape for key, value in theirs.items()
        }
        if fits:
            network.load_state_dict(theirs)
            print(f"The {role} starts from {name}.", file=sys.stderr)
        elif role == "discriminator":
            print(f"{name} has no discriminator like ours: it starts afresh.", file=sys.stderr)
        else:
            raise UserError(
                f"--init {name}: its {role} is built otherwise. Give the network options (widths, "
                "blocks, num_keypoints, jacobian) that it was trained with."
            )


def adam(network):
    return torch.optim.Adam(network.parameters(), lr=0.0, betas=(0.5, 0.999), eps=1e-8)


def step(networks, optimizers, rates, loss):
    """Backward, average over the processes, update; returns whether the gradients were finite.

    An update with a gradient that is not finite is left out.
    """
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()
    gradients = []
    for network in networks:
        distributed.average_gradients(network)
        gradients += [p.grad for p in network.parameters() if p.grad is not None]
    finite = bool(torch.isfinite(torch.stack(torch._foreach_norm(gradients))).all())
    if finite:
        for optimizer, rate in zip(optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
    return finite


def draw_transform(config, images_seen, processes):
    """The step's random transform: drawn for the global batch from (seed, images seen), sliced."""
    source = torch.Generator().manual_seed((config.seed << 40) + images_seen)
    transform = RandomTransform.draw(
        config.batch_size, config.sigma_affine, config.sigma_tps, config.points_tps, source
    )
    return transform.to(processes.device, slice(processes.rank, None, processes.world_size))


def train(config, folder, clips, vgg, processes, command=""):
    """Train into `folder` until the last epoch, --minutes or Ctrl-C; resumes the state in there.

    Differs from the official code: rates follow every step, not every epoch; the discriminator's
    gradients of the generator's step are never computed.
    """
    budget = run.Budget(config.minutes)
    device = processes.device
    saved = state.load_state(folder / "state.pt", device)
    parts = build(config, device, init="" if saved else config.init)
    detector, generator, discriminator = list(parts.values())[:3]
    pyramid = ImagePyramid(config.scales).to(device)
    counters = {"images_seen": 0, "steps": 0, "left_out": 0, "seconds": 0.0}
    position = {"images_seen": 0}
    if saved:
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        counters, position = saved["counters"], saved["position"]
    total, seconds_before = options.total_images(config, clips.length), counters["seconds"]
    if counters["images_seen"] >= total:
        print(f"{folder} is finished: all {total} images are seen.", file=sys.stderr)
        return
    log = run.Log(folder, counters["images_seen"], processes.is_main)
    bar = tqdm(
        total=total,
        initial=counters["images_seen"],
        unit="pair",
        disable=not processes.is_main,
        mininterval=0.5 if sys.stderr.isatty() else 60,  # a log file needs no moving bar
    )
    for network in (detector, generator, discriminator):
        network.train()

    batches = clips.batches(
        position, config.batch_size, processes.rank, processes.world_size, device
    )
    for batch, position_after in batches:
        seen = counters["images_seen"]
        factor = options.learning_rate_factor(config, seen, clips.length)
        rates = [config.learning_rate * factor, config.detector_learning_rate * factor]
        weight = options.adversarial_weight(config, seen, clips.length)
        source = batch["source"].float() / 255
        driving = batch["driving"].float() / 255
        transform = draw_transform(config, seen, processes)

        discriminator.requires_grad_(False)
        with autocast(config, device):
            loss, parts_g, prediction, keypoints = generator_loss(
                config, detector, generator, discriminator, vgg, pyramid,
                source, driving, transform, weight,
            )  # fmt: skip
        optimizers = [parts["optimizer_generator"], parts["optimizer_detector"]]
        finite = step([generator, detector], optimizers, rates, loss)
        discriminator.requires_grad_(True)

        parts_d = {}
        if weight:
            with autocast(config, device):
                loss, parts_d = discriminator_loss(
                    discriminator, pyramid, driving, prediction, keypoints, weight
                )
            optimizers = [parts["optimizer_discriminator"]]
            finite = step([discriminator], optimizers, rates[:1], loss) and finite

        if config.ema_decay:
            decay = options.ema_decay(config, seen)
            state.average(parts["detector_ema"], detector, decay)
            state.average(parts["generator_ema"], generator, decay)

        position = position_after
        counters["images_seen"] = now = seen + config.batch_size
        counters["steps"] += 1
        counters["left_out"] += not finite
        counters["seconds"] = seconds_before + budget.elapsed
        stop = now >= total or distributed.agree(budget.over, device)

        bar.update(config.batch_size)
        if run.due(config.report_interval, seen, now) or stop:
            scalars = {
                **{f"D/{key}": value for key, value in parts_d.items()},
                **{f"G/{key}": value for key, value in parts_g.items()},
            }
            report(bar, log, counters, distributed.mean(scalars), rates, clips, budget)
        if processes.is_main and (run.due(config.sample_interval, seen, now) or stop):
            save_sheet(config, folder, parts, clips, counters, device)
        keep = run.due(config.snapshot_interval, seen, now)
        if processes.is_main and (run.due(config.save_interval, seen, now) or keep or stop):
            save(config, folder, parts, counters, position, command, keep)
        if stop:
            break
    bar.close()
    log.close()


def autocast(config, device):
    """The convolutions' precision; keypoints, motions, masks and losses stay in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")


def report(bar, log, counters, scalars, rates, clips, budget):
    """One line of the log, and what the progress bar shows beside its own rate and time left."""
    scalars = {
        **scalars,
        "learning_rate": rates[0],
        "left_out": counters["left_out"],
        "unreadable": clips.skipped,
        "seconds": round(counters["seconds"], 3),
        "loader_rate": round(clips.loader_rate, 1),
    }
    log.write(counters["images_seen"], scalars)
    bar.set_postfix_str(
        f"loader {clips.loader_rate:.0f} pairs/s"
        + (f", {budget.left / 60:.0f} min left" if budget.left < math.inf else "")
    )
