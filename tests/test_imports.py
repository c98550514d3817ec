"""Arrows run down only: app -> tabs -> gan_models, trainers -> gan_models; and never in a circle.

Every import statement counts, those inside functions too.
"""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TREES = ("gan_models", "trainers", "tabs", "benchmarks", "tools")
FILES = {
    path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for tree in TREES
    for path in sorted((ROOT / tree).rglob("*.py"))
} | {ROOT / "app.py": "app"}
MODULES = set(FILES.values())

# What a file of each tree may import of this project.
BELOW = {
    "gan_models": {"gan_models"},
    "trainers": {"trainers", "gan_models"},
    "tabs": {"tabs", "gan_models"},
    "app": {"tabs", "gan_models"},
}


def imported(path: Path) -> set[str]:
    """The project's modules that a file names in its imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in whole}
    return found & MODULES


ARROWS = {module: imported(path) - {module} for path, module in FILES.items()}


def test_arrows_run_down():
    for module, targets in ARROWS.items():
        allowed = BELOW.get(module.partition(".")[0])
        if allowed:
            wrong = {name for name in targets if name.partition(".")[0] not in allowed}
            assert not wrong, f"{module} imports {wrong}"


def test_the_kit_knows_no_tab():
    for module, targets in ARROWS.items():
        if module.startswith("tabs.kit"):
            wrong = {name for name in targets if name.startswith("tabs") and ".kit" not in name}
            assert not wrong, f"{module} imports {wrong}"


def test_no_circle():
    open_, done = [], set()

    def walk(module):
        if module in open_:
            raise AssertionError(" -> ".join([*open_[open_.index(module) :], module]))
        if module in done:
            return
        open_.append(module)
        for target in sorted(ARROWS[module]):
            walk(target)
        done.add(open_.pop())

    for module in sorted(ARROWS):
        walk(module)


def test_a_circle_would_be_found(monkeypatch):
    monkeypatch.setitem(ARROWS, "gan_models.errors", {"gan_models.images"})
    try:
        test_no_circle()
    except AssertionError as error:
        assert "gan_models.errors -> gan_models.images" in str(error)
    else:
        raise AssertionError("images imports errors, and nobody noticed the way back")


def test_models_need_neither_page_nor_trainers():
    """Importing what runs at inference loads no gradio, and does no work."""
    names = [name for name in MODULES if name.startswith("gan_models") and "__main__" not in name]
    code = f"import sys, importlib; [importlib.import_module(name) for name in {sorted(names)}]"
    code += "; sys.exit(any(name in sys.modules for name in ('gradio', 'trainers', 'tabs')))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
