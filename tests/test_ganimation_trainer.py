"""The GANimation trainer: resuming, several processes, options of training, bad input."""

import json

import pytest
import torch
from PIL import Image

from gan_models.ganimation.folded import FoldedGenerator
from gan_models.ganimation.networks import Generator
from gan_models.weights import load_weights
from tests import runs
from tests.runs import assert_equal, final_state, killed_after_first_save
from trainers import schedules
from trainers.ganimation import __main__ as command
from trainers.ganimation import config as options
from trainers.ganimation import train as training

TINY = [
    *("official", "--data", "faces", "--crop", "centre", "--size", "32", "--channels", "4"),
    *("--blocks", "1", "--critic-channels", "4", "--critic-layers", "4", "--batch-size", "4"),
    *("--d-steps", "2", "--epochs", "4", "--decay-epochs", "4", "--ema-decay", "0.9"),
    *("--device", "cpu", "--sample-interval", "1000"),
]


def make_faces(root, count=8, size=40):
    """Pictures with OpenFace's table."""
    (root / "imgs").mkdir(parents=True)
    source = torch.Generator().manual_seed(0)
    lines = ["file, " + ", ".join(f"AU{code:02d}_r" for code in CODES)]
    for index in range(count):
        pixels = torch.randint(256, (size, size, 3), generator=source, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(root / "imgs" / f"{index}.png")
        units = (5 * torch.rand(17, generator=source)).tolist()
        lines.append(f"{index}.png, " + ", ".join(f"{unit:.2f}" for unit in units))
    (root / "aus.csv").write_text("\n".join(lines))
    return root


CODES = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    make_faces(folder / "faces")
    return folder


@pytest.fixture
def train_here(place, monkeypatch):
    """The command in this process."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("GAN_ATELIER_CACHE", str(place / "cache"))
    return lambda folder, *flags: command.main([*TINY, "--out", folder, *flags])


FOUR = [*TINY, "--total-images", "16", "--save-interval", "8", "--report-interval", "4"]


@pytest.fixture(scope="module")
def four(place):
    """The folder of four steps that nothing interrupts."""
    runs.run("trainers.ganimation", *FOUR, "--out", "four", cwd=place)
    return place / "four"


def test_four_steps_are_two_a_kill_and_two(place, four):
    """Of the official training; the generator learns in the second and fourth."""
    killed_after_first_save("trainers.ganimation", *FOUR, "--out", "two", cwd=place)
    assert final_state(place / "two")["counters"]["steps"] == 2
    runs.run("trainers.ganimation", *FOUR, "--out", "two", cwd=place)
    assert_equal(final_state(place / "two"), final_state(four))
    assert (four / "edits-000000016.png").exists()
    weights = load_weights(four / "weights", "ganimation")
    assert sorted(weights.states) == ["critic", "generator"]
    assert weights.config["action_units"] == list(CODES)
    assert weights.config["framing"] == {"kind": "centre", "margin": 0.0}
    state = final_state(four)
    steps = [
        {float(s["step"]) for s in state[f"optimizer_{name}"]["state"].values()}
        for name in ("generator", "critic")
    ]
    assert steps == [{2.0}, {8.0}]  # the penalty is a step of its own


def test_two_processes_see_the_losses_of_one(four):
    near = {"rel": 5e-3, "abs": 5e-4}
    runs.two_see_the_losses_of_one(four, "trainers.ganimation", *FOUR, steps=4, near=lambda _: near)


OURS = [
    *("--loss", "logistic", "--r1-weight", "1", "--r1-every", "2", "--d-steps", "1"),
    *("--own-targets", "0.5", "--identity-weight", "1", "--warm-up", "4", "--init", "kaiming"),
    *("--clip-targets", "--no-divide-by-batch", "--expression-weight", "40", "--saturate"),
]


def test_puppets_learn_from_pairs_after_a_warm_up(train_here, place):
    flags = ["--data", "puppets:8", "--reconstruction-weight", "10", "--cycle-weight", "0"]
    before = options.PRESETS["puppets"]
    train_here("ours", *OURS, *flags, "--total-images", "12", "--report-interval", "4")
    lines = (place / "ours" / "scalars.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in lines]
    assert "D/fake" not in lines[0] and "G/reconstruction" not in lines[0]
    assert {"D/r1", "G/reconstruction", "G/color"} <= (lines[1] | lines[2]).keys()
    assert "G/cycle" not in lines[2] and before.reconstruction_weight > 0


def test_one_combined_step_and_the_papers_terms(train_here, place):
    paper = ["paper", "--data", "faces", "--expression-weight", "160"]
    command.main([*paper, *TINY[3:], "--out", "paper", "--total-images", "8"])
    state = final_state(place / "paper")["optimizer_critic"]["state"]
    assert {float(s["step"]) for s in state.values()} == {2.0}


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--size", "40"], "multiple of 16"),
        (["--r1-weight", "1"], "goes with --loss"),
        (["--own-targets", "2"], "a share from 0 to 1"),
        (["--holdout", "0.9"], "not between 0 and 0.5"),
        (["--reconstruction-weight", "1"], "needs puppets"),
        (["--batch-size", "0"], "a number of 1 or more"),
        (["--learning-rate", "nan"], "a number of 0 or more"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(train_here, place, capsys, flags, sentence):
    with pytest.raises(SystemExit) as refused:
        train_here("bad", *flags)
    assert sentence in str(refused.value) + capsys.readouterr().err
    assert not (place / "bad").exists()


def test_the_rate_falls_over_the_last_epochs_as_officially():
    config = options.PRESETS["official"]
    rates = [schedules.learning_rate_factor(config, 100 * epoch, 100) for epoch in range(30)]
    assert rates[:21] == [1.0] * 21
    assert rates[21:] == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


@pytest.mark.parametrize("modulated", [False, True])
def test_the_faster_ways_compute_the_same(modulated):
    """That of training, with its gradients, and that of use."""
    torch.manual_seed(0)
    generator, units = Generator(4, blocks=1, modulated=modulated), torch.rand(2, 17)
    pictures = torch.randn(2, 3, 16, 16)
    slow = generator(pictures, units)
    in_use = FoldedGenerator(generator)(pictures, units)
    made = training.generated(generator, pictures, units)
    for a, b, c in zip(slow, made, in_use, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(a, c, rtol=1e-4, atol=1e-5)
    sum(part.sum() for part in slow).backward()
    gradients = [p.grad.clone() for p in generator.parameters()]
    generator.zero_grad()
    sum(part.sum() for part in made).backward()
    for a, b in zip(gradients, generator.parameters(), strict=True):
        torch.testing.assert_close(a, b.grad, rtol=1e-3, atol=1e-3)


def test_the_critic_gets_no_gradient_of_the_generator_and_back():
    config = options.PRESETS["puppets"]
    parts = training.build(config, torch.device("cpu"))
    real, units = torch.rand(2, 3, 64, 64) * 2 - 1, torch.rand(2, 17)
    fake, color, attention = training.edit(config, parts.generator, real, units)
    given = real, units, fake.detach()
    training.critic_loss(config, parts.critic, *given)[0].backward()
    assert all(p.grad is None for p in parts.generator.parameters())
    before = [p.grad.clone() for p in parts.critic.parameters()]
    parts.critic.requires_grad_(False)
    given = real, units, units, fake, color, attention, real
    training.generator_loss(config, parts.generator, parts.critic, *given)[0].backward()
    assert all(p.grad is not None for p in parts.generator.parameters())
    assert all(map(torch.equal, before, (p.grad for p in parts.critic.parameters())))


def test_terms_of_the_paper_and_of_the_official_code():
    """By hand, on a mask of 2 x 2 pixels."""
    from dataclasses import replace

    mask = torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]])
    official, paper = options.PRESETS["official"], options.PRESETS["paper"]
    assert training.attention_size(official, mask) == 0.5
    torch.testing.assert_close(training.attention_size(paper, mask), torch.tensor(0.375).sqrt())
    assert training.smoothness(official, mask) == 2.0  # 1 + 0 along a row, 0.5 + 0.5 down
    assert training.smoothness(paper, mask) == 1.5
    found, wanted = torch.ones(4, 17), torch.zeros(4, 17)
    assert training.expression(replace(official, batch_size=4), found, wanted) == 0.25
    assert training.expression(paper, found, wanted) == 1.0
