"""Schedules that several trainers have alike: functions of images seen and of their options."""


def total_images(config, num_pictures):
    """Images in the whole training."""
    return config.total_images or int((config.epochs + config.decay_epochs) * num_pictures)


def learning_rate_factor(config, images_seen, num_pictures):
    """1, then over the last `decay_epochs` less with each epoch. As in the official code of SPADE
    and of GANimation: the first of them still has the full rate, the last one a share of
    1 / decay_epochs.
    """
    if not config.decay_epochs:
        return 1.0
    decay_images = config.decay_epochs * num_pictures
    begin = max(0, total_images(config, num_pictures) - decay_images)
    return 1.0 - max(0, (images_seen - begin) // num_pictures) / config.decay_epochs


def ema_decay(config, images_seen):
    """The averaged networks' decay for one step: at first an average over about all steps so far,
    which forgets the untrained start.
    """
    steps = images_seen // config.batch_size + 1
    return min(config.ema_decay, steps / (steps + 10))
