"""GANimation's speed and memory: `python -m benchmarks.ganimation [--only pass]`.

    pass       one pass of the generator with one face: as the official code runs it, against ours
    edit       one edited picture: the official test.py runs its generator twice, the second time
               to turn the edit back, and shows both; here the edit alone is made
    faces      4 faces: the official code takes them one by one (counted with one pass each), here
               they are one batch; times are of one face
    memory     what the generator holds

The official networks at 128 px (64 channels, 6 blocks), random weights; from images in memory to
composed pictures. All ways alternate in one run; `spread` is how far the median round lies above
the fastest. Reduced precision runs where the processor has units for it.
"""

from functools import partial

import torch
from torch import nn

from benchmarks import timing
from gan_models import images
from gan_models.devices import PRECISIONS
from gan_models.ganimation.folded import FoldedGenerator
from gan_models.ganimation.networks import Generator, compose

SIZE = 128
FACES = 4


def generator():
    """Random numbers, in the norms too."""
    torch.manual_seed(0)
    made = Generator().requires_grad_(False).eval()
    for layer in made.modules():
        if isinstance(layer, nn.InstanceNorm2d):
            layer.weight.uniform_(0.5, 1.5)
            layer.bias.normal_(std=0.1)
    return made


def compared(title, rounds, targets, count=1, official_passes=1):
    """Rows of each way to edit `count` faces."""
    plain = generator()
    ours = {name: FoldedGenerator(plain, "cpu", PRECISIONS[name]) for name in timing.precisions()}
    faces, action_units = torch.rand(count, 3, SIZE, SIZE) * 2 - 1, torch.rand(count, 17)

    @torch.inference_mode()
    def edited(network, faces, action_units):
        return compose(faces, *network(faces, action_units))

    def official():
        made = []
        for face, wanted in zip(faces.split(1), action_units.split(1), strict=True):
            made.append(edited(plain, face, wanted))
            for _ in range(official_passes - 1):
                edited(plain, made[-1], wanted)
        return images.to_pictures(torch.cat(made))

    def folded(network):
        return images.to_pictures(edited(network, faces, action_units))

    ways = {"official way, float32": official}
    ways |= {f"ours, {name}": partial(folded, network) for name, network in ours.items()}
    timing.compare_pictures(title, ways, targets, rounds, count)


def one_pass(rounds):
    compared(f"one pass at {SIZE} px", rounds, ("", ">= 1.2", ">= 2"))


def edit(rounds):
    compared("one edited picture", rounds, ("", "", ""), official_passes=2)


def faces(rounds):
    compared(f"each of {FACES} faces", rounds, ("", ">= 1.2", ">= 2"), count=FACES)


def memory():
    plain = generator()
    for name, network in (("plain", plain), ("folded", FoldedGenerator(plain))):
        megabytes = sum(tensor.nbytes for tensor in network.state_dict().values()) / 1e6
        timing.row(f"the {name} generator, float32", f"{megabytes:.0f} MB")


if __name__ == "__main__":
    parts = {"pass": one_pass, "edit": edit, "faces": faces, "memory": lambda rounds: memory()}
    timing.table(__doc__, parts)
