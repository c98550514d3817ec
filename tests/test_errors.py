"""What a person can mend is one kind of error, and options are refused before a folder is made."""

import ast
from pathlib import Path

import pytest

from gan_models.errors import UserError
from gan_models.fomm import reference
from tabs.kit import jobs
from trainers.fomm.__main__ import main as fomm
from trainers.judge.__main__ import main as judge
from trainers.progan.__main__ import main as progan

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "main,options,named",
    [
        (progan, ["--r1-every", "0"], "--r1-every"),
        (progan, ["--latent-size", "0"], "--latent-size"),
        (progan, ["--seed", str(2**24)], "--seed"),
        (progan, ["--minutes", "-1"], "--minutes"),
        (progan, ["--learning-rates", "nan", ".1", ".1", ".1", ".1"], "--learning-rates"),
        (progan, ["--channels", "8", "8", "8", "8", "0"], "--channels"),
        (progan, ["--resolution", "0"], "--resolution"),
        (fomm, ["--learning-rate", "nan"], "--learning-rate"),
        (fomm, ["--minutes", "-1"], "--minutes"),
        (fomm, ["--num-keypoints", "0"], "--num-keypoints"),
        (judge, ["--learning-rate", "inf"], "--learning-rate"),
        (judge, ["--seed", "-1"], "--seed"),
    ],
)
def test_numbers_that_cannot_train_are_refused_first(main, options, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=named):
        main([*options, "--device", "cpu"])
    assert not list(tmp_path.iterdir())


def test_a_pipelines_sentence_reaches_the_visitor():
    with pytest.raises(UserError) as caught:
        reference.check_reference(5, 3)
    assert jobs.sentence(caught.value).startswith("The reference frame is 5")


def test_there_is_one_kind_of_error():
    """Classes of errors stand in gan_models/errors.py; others are caught where they are made."""
    apart = {"Unsuitable", "CacheError", "_Abandoned"}
    for folder in ("gan_models", "tabs", "trainers"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and path.name != "errors.py":
                    bases = " ".join(ast.unparse(base) for base in node.bases)
                    assert node.name in apart or "Error" not in bases + node.name, (path, node.name)
