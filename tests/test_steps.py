"""What a GPU asks of a training step, proved without one: no value is read back within it, blends
take equal types, and a captured step, replayed over its buffers, trains as the plain one does.
"""

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from gan_models.devices import choose_device
from gan_models.errors import UserError
from gan_models.progan.folded import FoldedGenerator
from gan_models.progan.networks import Generator
from tests import commands
from tests.runs import assert_equal, final_state
from tests.test_fomm_trainer import TINY as FOMM
from tests.test_fomm_trainer import TRANSFERS, make_clips
from tests.test_ganimation_trainer import OURS, make_faces
from tests.test_ganimation_trainer import TINY as GANIMATION
from tests.test_progan_trainer import TINY as PROGAN
from tests.test_spade_trainer import TINY as SPADE
from tests.test_spade_trainer import make_maps
from tests.test_stargan_v2_trainer import TINY as STARGAN_V2
from trainers import capture, distributed, optim, run
from trainers.fomm import __main__ as fomm
from trainers.fomm import train as fomm_train
from trainers.ganimation import __main__ as ganimation
from trainers.ganimation import train as ganimation_train
from trainers.judge import __main__ as judge
from trainers.judge import train as judge_train
from trainers.progan import __main__ as progan
from trainers.progan import train as progan_train
from trainers.spade import __main__ as spade
from trainers.spade import train as spade_train
from trainers.stargan_v2 import __main__ as stargan_v2
from trainers.stargan_v2 import train as stargan_v2_train

JUDGE = [
    *("--widths", "4", "4", "4", "4", "--features", "4", "--hidden", "4", "--batch-size", "4"),
    *("--total-images", "24", "--device", "cpu"),
]
PAIRS = ["--data", "puppets:8", "--reconstruction-weight", "10", "--identity-weight", "1"]
BFLOAT16 = ["--precision", "bfloat16"]
SYSTEMS = {  # the discriminator sets in; levels fade in, with a lazy penalty; one network
    "fomm": (fomm, fomm_train, ["puppets", *FOMM, "--ema-decay", "0.9", "--total-images", "32"]),
    "fomm, ours": (fomm, fomm_train, ["puppets", *FOMM, *TRANSFERS, "--total-images", "32"]),
    "progan": (
        *(progan, progan_train),
        [*PROGAN, "--total-images", "200", "--r1-every", "2", "--r1-weight", "1"],
    ),
    "labelled": (
        *(progan, progan_train),
        [*PROGAN, "--data", "pets", "--labels", "--loss", "wgan_gp", "--r1-weight", "0"]
        + ["--total-images", "80"],
    ),
    "judge": (judge, judge_train, JUDGE),
    "spade": (spade, spade_train, [*SPADE, "--total-images", "32"]),
    "stargan_v2": (stargan_v2, stargan_v2_train, [*STARGAN_V2, "--total-images", "32"]),
    "ganimation": (ganimation, ganimation_train, [*GANIMATION, "--total-images", "32"]),
    "ganimation, ours": (
        *(ganimation, ganimation_train),
        [*GANIMATION, *OURS, *PAIRS, "--critic-every", "2", "--total-images", "32"],
    ),
}

READS = {
    getattr(torch.Tensor, name)
    for name in (
        *("item", "tolist", "numpy", "cpu", "nonzero", "__bool__", "__float__", "__int__"),
        *("__index__", "__array__", "__contains__"),
    )
}
ATEN = torch.ops.aten
READING = {  # these wait for the device: values, sizes that depend on values, tensors of numbers
    *(ATEN._local_scalar_dense, ATEN.is_nonzero, ATEN.equal, ATEN.nonzero, ATEN.masked_select),
    *(ATEN._unique2, ATEN.lift_fresh),
}


class Called(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        assert function not in READS, f"{function.__name__} within a step"
        if function in (torch.lerp, torch.Tensor.lerp, torch.Tensor.lerp_):
            kinds = {x.dtype for x in args if isinstance(x, torch.Tensor)}
            assert len(kinds) == 1, f"a blend of {kinds}"
        return function(*args, **(kwargs or {}))


class Dispatched(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function.overloadpacket not in READING, f"{function} within a step"
        if function.overloadpacket is ATEN.index:
            assert all(i is None or i.dtype == torch.int64 for i in args[1]), "a mask within a step"
        return function(*args, **(kwargs or {}))


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Runs a system's command in this process; returns the state at its end."""
    make_clips(tmp_path / "clips")
    make_maps(tmp_path / "maps")
    make_faces(tmp_path / "faces")
    monkeypatch.setenv("GAN_ATELIER_CACHE", str(tmp_path / "cache"))
    for folder in ("pictures", "pets/cats", "pets/dogs"):
        commands.make_pictures(tmp_path / folder)
    monkeypatch.chdir(tmp_path)

    def train(system, out, *more):
        SYSTEMS[system][0].main([*SYSTEMS[system][2], "--out", out, *more])
        return final_state(tmp_path / out)

    return train


@pytest.mark.parametrize("system", SYSTEMS)
def test_nothing_is_read_back_within_a_step(trained, monkeypatch, system):
    """Losses, updates, averages and what Training does between reports, under autocast, with the
    Adam of a GPU."""
    monkeypatch.setattr(optim, "one_kernel", lambda device: True)
    kinds = []

    def watched(function):
        def call(*args, **options):
            kinds.append(function.__name__)
            with Called(), Dispatched():
                return function(*args, **options)

        return call

    module = SYSTEMS[system][1]
    monkeypatch.setattr(module, "Captured", lambda step, active: watched(step))
    monkeypatch.setattr(optim, "average", watched(optim.average))
    monkeypatch.setattr(optim.Adam, "set_rate", watched(optim.Adam.set_rate))
    monkeypatch.setattr(run.Training, "step", watched(run.Training.step))
    for name in ("report", "save", "draw"):  # which may read, after the step
        monkeypatch.setattr(run.Training, name, lambda self, *args: None)
    module = SYSTEMS[system][0]
    module.main([*SYSTEMS[system][2], *BFLOAT16, "--out", "watched"])
    assert set(kinds) == {"step", "average", "set_rate"} and len(kinds) > 20


def test_the_watch_sees_what_is_read():
    number = torch.ones(3)
    for read in (float, bool, torch.Tensor.item, torch.Tensor.tolist, torch.Tensor.cpu):
        with pytest.raises(AssertionError, match="within a step"), Called(), Dispatched():
            read(number[0])
    with pytest.raises(AssertionError, match="mask"), Called(), Dispatched():
        number[number > 0]
    with pytest.raises(AssertionError, match="within a step"), Called(), Dispatched():
        torch.tensor(1.0)
    with pytest.raises(AssertionError, match="a blend of"), Called():
        torch.lerp(number, number.bfloat16(), 0.5)


@pytest.mark.parametrize("widened", [False, True])
@pytest.mark.parametrize("make", [lambda: Generator(16, 8, (8, 8, 4)), "folded"])
def test_a_fade_blends_equal_types(monkeypatch, widened, make):
    """Also where autocast enlarges in float32, as that of a GPU does."""
    from gan_models.progan import networks

    if widened:
        enlarge = networks.upsample
        monkeypatch.setattr(networks, "upsample", lambda x: enlarge(x.float()))
    network = Generator(16, 8, (8, 8, 4))
    if make == "folded":
        network = FoldedGenerator(network, 16, torch.device("cpu"), torch.bfloat16)
    discriminator = networks.Discriminator(16, (8, 8, 4))
    latents = torch.randn(4, 8)
    for alpha in (0.3, torch.tensor(0.3)):
        with Called(), torch.autocast("cpu", torch.bfloat16):
            pictures = network(latents, resolution=16, alpha=alpha)
            discriminator(pictures.float(), alpha=alpha)
    plain = Generator(16, 8, (8, 8, 4))
    one, other = (plain(latents, alpha=alpha) for alpha in (0.3, torch.tensor(0.3)))
    assert torch.equal(one, other)


@pytest.fixture
def recorded(monkeypatch):
    """Steps that are recorded without computing and replayed into the same memory, as CUDA graphs
    are; the list of what was recorded."""
    calls = []

    def record(call):
        results = {}, torch.zeros((), dtype=torch.bool)  # as the steps return

        def replay():
            losses, bad = call()
            results[0].update(losses)
            results[1].copy_(bad)

        calls.append(call)
        return replay, results

    monkeypatch.setattr(capture, "record", record)
    monkeypatch.setattr(capture, "aside", lambda call: call())
    monkeypatch.setattr(capture, "WARM_UP", 1)
    return calls


@pytest.mark.parametrize(
    ("system", "kinds"),
    [
        ("fomm", 2),  # without and with the discriminator
        ("progan", 9),  # 4, to 8, 8, to 16, 16 px, and most with a penalty too
        ("judge", 1),
        ("spade", 1),
        ("stargan_v2", 1),
        ("ganimation", 2),  # without and with the generator
        ("ganimation, ours", 4),  # the warm-up, with or without critic and penalty
    ],
)
def test_a_captured_step_trains_as_the_plain_one(trained, monkeypatch, recorded, system, kinds):
    """Bit for bit, with the Adam of a GPU; recorded anew for each kind of step, not for each step
    of a fade or schedule."""
    monkeypatch.setattr(optim, "one_kernel", lambda device: True)
    plain = trained(system, "plain")
    assert not recorded
    module = SYSTEMS[system][1]
    made = capture.Captured
    monkeypatch.setattr(module, "Captured", lambda step, active: made(step, True))
    assert_equal(trained(system, "captured"), plain)
    assert 0 < len(recorded) <= kinds


def test_a_captured_step_goes_by_kinds(recorded):
    """Numbers and shapes make the kind; tensors are copied into the same buffers; few are kept."""
    seen = []

    def step(numbers, factor):
        seen.append(numbers["x"].data_ptr())
        return {"sum": (numbers["x"] * factor).sum()}, torch.tensor(False)

    call = capture.Captured(step, active=True)
    for value in range(4):
        losses, _ = call({"x": torch.full((3,), float(value))}, 2.0)
        assert losses["sum"] == 6 * value
    assert len(set(seen)) == 1 and len(recorded) == 1
    for factor, count in ((3.0, 3), (3.0, 3), (2.0, 4), (2.0, 4), (1.0, 3), (1.0, 3)):
        losses, _ = call({"x": torch.ones(count)}, factor)
        assert losses["sum"] == factor * count
    assert len(call.kinds) == capture.KEPT
    plain = capture.Captured(step, active=False)
    assert plain({"x": torch.ones(2)}, 1.0)[0]["sum"] == 2 and not plain.kinds


@pytest.mark.parametrize("fused", [False, True])
def test_updates_that_are_not_finite_change_nothing(monkeypatch, fused):
    monkeypatch.setattr(optim, "one_kernel", lambda device: fused)
    network = torch.nn.Linear(2, 1)
    optimizer = optim.Adam(network, (0.5, 0.999))
    optimizer.set_rate(1e-3)

    def update(value):
        before = [p.clone() for p in network.parameters()]
        moments = {k: v["exp_avg"].clone() for k, v in optimizer.state.items()}
        bad = optim.update([network], [optimizer], network(torch.tensor([[value, 1.0]])).sum())
        same = all(map(torch.equal, before, network.parameters()))
        kept = all(torch.equal(optimizer.state[k]["exp_avg"], v) for k, v in moments.items())
        return bool(bad), same and kept

    assert update(float("nan")) == (True, True)
    assert update(1.0) == (False, False)
    steps = [float(state["step"]) for state in optimizer.state.values()]
    assert update(float("inf")) == (True, True)
    assert [float(state["step"]) for state in optimizer.state.values()] == steps == [1.0, 1.0]


def test_a_state_goes_from_one_kind_of_adam_to_the_other(monkeypatch):
    """A run begun on a processor goes on with a GPU, and back."""
    network = torch.nn.Linear(2, 1)
    first = optim.Adam(network, (0.0, 0.99))
    first.set_rate(1e-3)
    optim.update([network], [first], network(torch.ones(1, 2)).sum())
    monkeypatch.setattr(optim, "one_kernel", lambda device: True)
    second = optim.Adam(network, (0.0, 0.99))
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["fused"] and isinstance(
        second.param_groups[0]["lr"], torch.Tensor
    )
    second.set_rate(1e-3)
    optim.update([network], [second], network(torch.ones(1, 2)).sum())
    first.load_state_dict(second.state_dict())
    assert not first.param_groups[0]["fused"]
    assert {float(state["step"]) for state in first.state.values()} == {2.0}


def test_average_moves_by_the_decay_and_copies_counts():
    a, b = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    b(torch.randn(4, 2))
    expected = 0.9 * a.running_mean + 0.1 * b.running_mean
    optim.average(a, b, 0.9)
    torch.testing.assert_close(a.running_mean, expected)
    assert a.num_batches_tracked == b.num_batches_tracked == 1


def test_cuda_is_a_gpu_with_a_number(monkeypatch):
    """`torch.cuda.set_device` wants one; each process of torchrun takes its own."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert choose_device("cuda") == choose_device("auto") == torch.device("cuda", 0)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UserError, match="cuda:2.*no usable CUDA GPU"):
        choose_device("cuda:2")
    for name, local, index in (("cuda", 0, 0), ("cuda", 1, 1), ("auto", 1, 1), ("cuda:0", 1, 0)):
        monkeypatch.setenv("LOCAL_RANK", str(local))
        assert distributed.start(name).device == torch.device("cuda", index) == chosen[-1]
