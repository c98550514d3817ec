"""Adversarial losses and penalties: pure functions of scores, images and networks.

Scores are raw discriminator outputs (N,), higher for real. Every loss is a mean over the batch.
"""

import torch
import torch.nn.functional as F


def wasserstein_d(real_scores, fake_scores):
    """Critic loss of WGAN (Arjovsky et al. 2017)."""
    return (fake_scores - real_scores).mean()


def wasserstein_g(fake_scores):
    return -fake_scores.mean()


def logistic_d(real_scores, fake_scores):
    """Binary cross entropy on raw scores (Goodfellow et al. 2014), both halves summed."""
    return F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()


def logistic_g(fake_scores):
    """The non-saturating generator loss (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake_scores).mean()


def least_squares_d(real_scores, fake_scores):
    """LSGAN (Mao et al. 2017, equation 9), targets 1 and 0, halves averaged."""
    return 0.5 * ((real_scores - 1).square().mean() + fake_scores.square().mean())


def least_squares_g(fake_scores):
    return 0.5 * (fake_scores - 1).square().mean()


def hinge_d(real_scores, fake_scores):
    return F.relu(1 - real_scores).mean() + F.relu(1 + fake_scores).mean()


def hinge_g(fake_scores):
    return -fake_scores.mean()


def drift(real_scores):
    """Mean squared score of reals: keeps a Wasserstein critic near 0 (ProGAN, appendix A.1)."""
    return real_scores.square().mean()


def gradient_penalty(critic, real, fake, mix, target=1.0, shrink=1.0):
    """WGAN-GP's penalty, mean of (|gradient| - target)^2 / target^2 (Gulrajani et al. 2017; ProGAN,
    appendix B).

    critic maps images (N, C, H, W) to scores (N,); mix (N, 1, 1, 1) in [0, 1] picks the point
    between `real` (0) and `fake` (1). Computed in the precision of `real`, which should be float32.
    shrink multiplies the norms: the official code differentiates by pictures enlarged to the final
    size, whose gradients are shorter by H / final size.
    """
    norms = shrink * gradient_norms(critic, torch.lerp(real, fake, mix))
    return (norms - target).square().mean() / target**2


def gradient_norms(critic, images):
    """Length (N,) of the scores' gradient at images (N, C, H, W); can itself be differentiated."""
    return squared_norms(critic, images).sqrt()


def squared_norms(critic, images):
    images = images.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))  # (N,)


def r1_penalty(critic, real):
    """Mean squared gradient norm at reals (Mescheder et al. 2018, equation 9 without gamma / 2)."""
    return squared_norms(critic, real).mean()
