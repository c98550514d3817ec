"""Adam, one update of networks, and averages of them: nothing here asks the device how it went."""

import torch

from trainers import distributed


def one_kernel(device):
    """Whether Adam runs as one kernel there, which reads its rate and whether to skip by itself.

    On a processor torch's plain Adam stays: its numbers differ in the last bit.
    """
    return device.type == "cuda"


class Adam(torch.optim.Adam):
    """Adam of one network, whose rate is set before each update."""

    def __init__(self, network, betas, weight_decay=0.0):
        parameters = list(network.parameters())
        device = parameters[0].device
        how = {"lr": 0.0}
        if one_kernel(device):  # a captured step reads the rate from this tensor
            how = {"lr": torch.zeros((), device=device), "fused": True}
            how["capturable"] = device.type == "cuda"
        super().__init__(parameters, betas=betas, eps=1e-8, weight_decay=weight_decay, **how)

    def set_rate(self, rate):
        for group in self.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def step_unless(self, bad):
        """Update, unless the tensor `bad` () is true, which only a processor looks at."""
        if self.param_groups[0]["fused"]:
            self.found_inf = bad.float()
            self.step()
        elif not bad:
            self.step()

    def forget(self):
        """Begin anew, in the memory that a captured step knows."""
        for averages in self.state.values():
            for tensor in averages.values():
                tensor.zero_()

    def load_state_dict(self, saved):
        # The device that goes on says how the update is computed, not the one that saved.
        super().load_state_dict({**saved, "param_groups": self.state_dict()["param_groups"]})


def update(networks, optimizers, loss, longest=None):
    """Backward, average over the processes, update; returns a bool tensor (): left out.

    networks: those that learn from `loss` together; longest: their gradients are shortened to this
    length. An update with a gradient that is not finite changes nothing, as in the official ProGAN.
    """
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()
    for network in networks:
        distributed.average_gradients(network)
    parameters = [p for network in networks for p in network.parameters() if p.grad is not None]
    if longest is not None:
        torch.nn.utils.clip_grad_norm_(parameters, longest)
    norms = torch.stack(torch._foreach_norm([p.grad for p in parameters]))
    bad = norms.isfinite().all().logical_not()
    for optimizer in optimizers:
        optimizer.step_unless(bad)
    return bad


@torch.no_grad()
def average(averaged, trained, decay):
    """Move the averaged network towards the trained one: a <- decay * a + (1 - decay) * t.

    Batch norm's statistics are averaged alike; whole numbers are copied.
    """
    pairs = [
        *zip(averaged.parameters(), trained.parameters(), strict=True),
        *zip(averaged.buffers(), trained.buffers(), strict=True),
    ]
    floats = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_(*map(list, zip(*floats, strict=True)), 1 - decay)
    if counts := [pair for pair in pairs if not pair[0].is_floating_point()]:
        torch._foreach_copy_(*map(list, zip(*counts, strict=True)))


def named(**sides):
    """{"D": {"real": tensor}} as {"D/real": tensor}, apart from what they were computed from."""
    return {f"{a}/{b}": part.detach() for a, parts in sides.items() for b, part in parts.items()}


def autocast(config, device):
    """The convolutions' precision; what needs more says so where it is computed.

    A captured step casts a weight where it is used: what is kept between uses would be replayed.
    """
    bfloat16, kept = config.precision == "bfloat16", not config.capture
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16, cache_enabled=kept)
