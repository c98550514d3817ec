"""FOMM's losses: pure functions of networks, pictures and one random transform.

Sections are those of arXiv 2003.00196. Every function returns unweighted parts beside its loss.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from gan_models.fomm.networks import Keypoints, coordinate_grid, in_float32, inverse
from trainers.fomm import full_size


@dataclass(frozen=True)
class RandomTransform:
    """A thin-plate-like warp T of the plane for each picture (section 3.1, equivariance).

    theta (N, 2, 3) is the affine part, control (N, 1, P^2) or None moves P^2 points of a grid.
    As in the official code: the radial term uses the L1 distance and adds one number to x and y.
    """

    theta: torch.Tensor
    control: torch.Tensor | None = None

    @classmethod
    def draw(cls, count, sigma_affine, sigma_tps, points_tps, generator):
        """`count` transforms from a torch.Generator; sigma_tps 0 leaves the affine part alone."""
        noise = torch.randn(count, 2, 3, generator=generator)
        theta = torch.eye(2, 3) + sigma_affine * noise
        if not sigma_tps:
            return cls(theta)
        control = sigma_tps * torch.randn(count, 1, points_tps**2, generator=generator)
        return cls(theta, control)

    def _differences(self, points):
        """From the control points to points (N, M, 2): (N, M, P^2, 2), and their L1 lengths."""
        side = round(self.control.shape[-1] ** 0.5)
        knots = coordinate_grid(side, side, points).view(1, 1, side**2, 2)
        differences = points.unsqueeze(2) - knots
        return differences, differences.abs().sum(-1)

    def points(self, points):
        """T of points (N, M, 2)."""
        moved = points @ self.theta[:, :, :2].mT + self.theta[:, :, 2].unsqueeze(1)
        if self.control is None:
            return moved
        _, r = self._differences(points)
        return moved + (r**2 * torch.log(r + 1e-6) * self.control).sum(-1, keepdim=True)

    def jacobian(self, points):
        """dT at points (N, M, 2): (N, M, 2, 2), a row for each coordinate of T."""
        n, m, _ = points.shape
        affine = self.theta[:, None, :, :2].expand(n, m, 2, 2)
        if self.control is None:
            return affine
        differences, r = self._differences(points)
        slope = (2 * r * torch.log(r + 1e-6) + r**2 / (r + 1e-6)) * self.control  # (N, M, P^2)
        row = (slope.unsqueeze(-1) * differences.sign()).sum(2)  # (N, M, 2)
        return affine + row.unsqueeze(2)

    def images(self, images, align_corners=True):
        """images (N, 3, H, W) sampled at T(z) for each pixel z; mirrored beyond the border."""
        n, _, h, w = images.shape
        grid = coordinate_grid(h, w, images).view(1, h * w, 2).expand(n, -1, 2)
        grid = self.points(grid).view(n, h, w, 2)
        how = {"padding_mode": "reflection", "align_corners": align_corners}
        # With a nan in it, torch's backward of grid_sample reads memory that is not its own.
        return F.grid_sample(images, grid.nan_to_num(0.0, 1e4, -1e4), **how)


def perceptual(vgg, real, fake):
    """Mean distance of VGG features, summed over layers and the scales of two pyramids (3.3)."""
    total = 0.0
    for scale, picture in real.items():
        with torch.no_grad():
            wanted = vgg(picture)
        for a, b in zip(vgg(fake[scale]), wanted, strict=True):
            total = total + (a.float() - b.float()).abs().mean()
    return total


def reconstruction(real, fake):
    """Mean absolute difference, summed over the scales of two pyramids.

    Differs from the official code, whose only picture loss is the perceptual one.
    """
    return sum((fake[scale] - picture).abs().mean() for scale, picture in real.items())


def equivariance(detector, driving, keypoints: Keypoints, transform, align_corners):
    """(value part, Jacobian part or None): T of the warped picture's keypoints should be the
    picture's own (equations 9 to 11).
    """
    with in_float32(driving):
        picture = transform.images(driving, align_corners)
    warped = detector(picture)
    with in_float32(driving):
        value = (keypoints.value - transform.points(warped.value)).abs().mean()
        if keypoints.jacobian is None:
            return value, None
        back = transform.jacobian(warped.value) @ warped.jacobian
        product = inverse(keypoints.jacobian) @ back  # (N, K, 2, 2)
        identity = torch.eye(2, device=product.device)
        return value, (identity - product).abs().mean()


def led(source: Keypoints, first: Keypoints, then: Keypoints):
    """The keypoints that a source takes when it moves as another does from `first` to `then`:
    `gan_models.fomm.motion.transfer`, relative and scale adapted, with gradients.
    """
    scale = (hull_area(source.value) / hull_area(first.value).clamp(min=1e-6)).sqrt()
    value = source.value + scale.view(-1, 1, 1) * (then.value - first.value)
    if source.jacobian is None:
        return Keypoints(value)
    return Keypoints(value, then.jacobian @ inverse(first.jacobian) @ source.jacobian)


def hull_area(points, directions=64):
    """The area (N,) of the convex hull of points (N, K, 2), without gradient, on their device: of
    the polygon of those that are farthest in one of the directions.
    """
    angle = torch.arange(directions, device=points.device) * (2 * math.pi / directions)
    farthest = (points.detach() @ torch.stack([angle.cos(), angle.sin()])).argmax(dim=1)
    corners = points.detach().gather(1, farthest.unsqueeze(2).expand(-1, -1, 2))
    x, y = corners.unbind(dim=2)  # (N, directions), in order around the hull
    return (x * y.roll(-1, 1) - y * x.roll(-1, 1)).sum(dim=1).clamp(min=0) / 2


def generator_loss(
    config,
    detector,
    generator,
    discriminator,
    vgg,
    pyramid,
    source,
    driving,
    transform,
    weight,
    leaders=None,
    large=None,
):
    """(loss, parts, prediction, driving keypoints (N, K, 2)) of the step of generator and detector.

    source, driving (N, 3, H, W) in [0, 1]; pyramid makes the scales of the picture losses; vgg may
    be None where the config has no perceptual loss; `weight` is the adversarial loss's now.
    leaders: two frames (N, 3, H, W); the source moves as from the first to the second, which should
    make it `driving`. None: `driving` itself moves it. large: source and driving (N, 3, S, S) for
    the loss at full size, if there is one.
    """
    source_keypoints = detector(source)
    keypoints = taken = detector(driving)
    if leaders is not None:
        first, then = (detector(frame) for frame in leaders)
        with in_float32(source):
            taken = led(source_keypoints, first, then)
    output = generator(source, taken, source_keypoints)
    prediction = output.prediction
    real, fake = pyramid(driving), pyramid(prediction)
    parts, loss = {}, 0.0
    if config.perceptual_weight:
        parts["perceptual"] = perceptual(vgg, real, fake)
        loss = loss + config.perceptual_weight * parts["perceptual"]
    if config.reconstruction_weight:
        parts["reconstruction"] = reconstruction(real, fake)
        loss = loss + config.reconstruction_weight * parts["reconstruction"]
    if large is not None:
        how = output, taken, source_keypoints, config.align_corners
        parts["full_size"] = full_size.loss(full_size.render(large[0], *how), large[1])
        loss = loss + config.full_size_weight * parts["full_size"]
    if weight:
        points = keypoints.value.detach()
        faked = discriminator(fake, points)
        with torch.no_grad():
            wanted = discriminator(real, points)
        parts["adversarial"] = sum((1 - score.float()).square().mean() for score, _ in faked)
        parts["feature_matching"] = sum(
            (a.float() - b.float()).abs().mean()
            for (_, ours), (_, theirs) in zip(faked, wanted, strict=True)
            for a, b in zip(ours, theirs, strict=True)
        )
        loss = loss + weight * parts["adversarial"]
        loss = loss + config.feature_matching_weight * parts["feature_matching"]
    if config.equivariance_weight:
        value, jacobian = equivariance(
            detector, driving, keypoints, transform, config.align_corners
        )
        parts["equivariance_value"] = value
        loss = loss + config.equivariance_weight * value
        if jacobian is not None:
            parts["equivariance_jacobian"] = jacobian
            loss = loss + config.equivariance_weight * jacobian
    return loss, parts, prediction, keypoints.value


def discriminator_loss(discriminator, pyramid, driving, prediction, keypoints, weight):
    """(loss, parts) of the discriminator's step: least squares, both halves summed (3.3, LSGAN)."""
    points = keypoints.detach()
    faked = discriminator(pyramid(prediction.detach()), points)
    wanted = discriminator(pyramid(driving), points)
    parts = {
        "real": sum((1 - score.float()).square().mean() for score, _ in wanted),
        "fake": sum(score.float().square().mean() for score, _ in faked),
    }
    return weight * (parts["real"] + parts["fake"]), parts
