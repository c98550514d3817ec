"""Motion transfer by the plain networks alone, which scores through the pipeline must match."""

import numpy as np
import torch

from gan_models.fomm import motion
from gan_models.fomm.motion import Motion
from gan_models.fomm.networks import Encoded, Keypoints
from gan_models.images import to_pictures, to_tensor


class Networks:
    """Moves pictures with plain networks in eval mode, wherever they lie.

    Args:
        detector, generator: As in gan_models.fomm.networks.
        batch_size: Frames at a time.
    """

    def __init__(self, detector, generator, batch_size: int = 32):
        self.detector, self.generator, self.batch_size = detector, generator, batch_size
        self.device = next(detector.parameters()).device

    def images(self, pictures) -> torch.Tensor:
        return to_tensor(np.asarray(pictures), (0, 1)).to(self.device)

    @torch.inference_mode()
    def detect(self, pictures) -> Motion:
        """The keypoints of pictures (T, S, S, 3) uint8."""
        parts = [
            self.detector(self.images(pictures[start : start + self.batch_size]))
            for start in range(0, len(pictures), self.batch_size)
        ]
        value = torch.cat([part.value for part in parts]).cpu().numpy()
        jacobian = None
        if parts[0].jacobian is not None:
            jacobian = torch.cat([part.jacobian for part in parts]).cpu().numpy()
        return Motion(value, jacobian)

    @torch.inference_mode()
    def render(self, picture, keypoints: Motion, driving: Motion) -> np.ndarray:
        """`picture` (S, S, 3) moved from its one-frame `keypoints` to `driving`: (T, S, S, 3)."""
        image, small, features = self.generator.encode(self.images(picture[None]))
        frames = []
        for start in range(0, len(driving), self.batch_size):
            points = self.tensors(driving[start : start + self.batch_size])
            count = len(points.value)

            def repeat(tensor, count=count):
                return None if tensor is None else tensor.expand(count, *tensor.shape[1:])

            source = Keypoints(*map(repeat, self.tensors(keypoints)))
            encoded = Encoded(repeat(image), repeat(small), [repeat(level) for level in features])
            output = self.generator.animate(encoded, points, source)
            frames.append(to_pictures(output.prediction, (0, 1)))
        return np.concatenate(frames)

    def tensors(self, keypoints: Motion) -> Keypoints:
        value = torch.from_numpy(keypoints.value).to(self.device)
        if keypoints.jacobian is None:
            return Keypoints(value)
        return Keypoints(value, torch.from_numpy(keypoints.jacobian).to(self.device))

    def reconstruct(self, frames) -> np.ndarray:
        """Every frame of a clip (T, S, S, 3) from its first and its own keypoints."""
        points = self.detect(frames)
        return self.render(frames[0], points[0], points)

    def animate(self, source, driving) -> np.ndarray:
        """`source` (S, S, 3) following `driving` (T, S, S, 3): relative motion, scale adapted."""
        keypoints, moving = self.detect(source[None]), self.detect(driving)
        moved = motion.transfer(keypoints, moving, moving[0], adapt_scale=True)
        return self.render(source, keypoints, moved)
