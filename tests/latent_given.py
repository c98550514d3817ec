"""What tests of the tab "Latent space" give it: tiny weights, and the two ends of a path."""

from tabs.kit import jobs
from tabs.kit.seeds import of_seed
from tabs.latent import points
from tests import tiny

ONE, TWO = of_seed(1), of_seed(2)
MIX = points.of_mix(ONE, TWO, 50, "spherical")
CLASSES = ["human", "cat", "robot"]


def settings(root):
    """The page's settings with two weights: "plain" (16 px) and "classes" (8 px, other latents)."""
    plain = tiny.save_progan(root / "plain")
    labelled = tiny.save_progan(root / "classes", CLASSES, resolution=8, latent_size=12, seed=1)
    given = (("plain", str(plain)), ("classes", str(labelled)))
    return jobs.Settings(device="cpu", weights=given)
