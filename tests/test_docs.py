"""The documentation holds: its commands run, its links lead somewhere, its tables are those of the code."""

from __future__ import annotations

import dataclasses
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from kinds import untrained
from tiny import TUNES, melody

from seqvae.cli.app import command_line, main
from seqvae.config import Preset, preset_names
from seqvae.evaluate import report_card

REPO = Path(__file__).resolve().parent.parent
PAGES = [REPO / "README.md", REPO / "CHANGELOG.md", REPO / "benchmarks" / "README.md", *sorted(REPO.glob("docs/*.md"))]
README = (REPO / "README.md").read_text(encoding="utf-8")

# `make` would start this suite again, in an environment of its own.
NOT_RUN = ("make demo", "make test", "make bench")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language; every fence is read, so that an end is not taken for a beginning."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language]


def commands(text: str) -> list[str]:
    lines = [line for block in blocks(text, "console") for line in block.splitlines() if line.startswith("$ ")]
    return [line.removeprefix("$ ").split("  #")[0].split(" #")[0].strip() for line in lines]


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the checkout to someone who follows the README."""
    (tmp_path / "examples").symlink_to(REPO / "examples")
    (tmp_path / "out").mkdir()
    for number, tune in enumerate([*TUNES, *(melody(seed) for seed in range(100, 106))]):  # 12 make a personal model
        tune.save(tmp_path / "my-songs" / f"{number}.mid")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_commands_of_the_readme_run(workshop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = [command.replace("--time 1m", "--time 5s") for command in commands(README) if command not in NOT_RUN]
    assert len(run) >= 12
    for command in run:
        program, *arguments = shlex.split(command)
        assert program == "seqvae"
        assert main(arguments) == 0, f"{command}\n{capsys.readouterr().err}"
        printed = capsys.readouterr().out
        assert printed
        if "-o" in arguments:
            assert (workshop / arguments[arguments.index("-o") + 1]).exists()


@pytest.mark.slow
def test_the_python_of_the_readme_runs(workshop: Path) -> None:
    (block,) = blocks(README, "python")
    exec(compile(block, "README.md", "exec"), {})
    assert (workshop / "out" / "c.mid").exists()


def verbs() -> dict[str, Any]:
    """Verb → command of typer, `plot map` and its like among them."""
    found = {}
    for name, command in typer.main.get_command(command_line()).commands.items():  # type: ignore[attr-defined]
        found[name] = command
        found |= {f"{name} {inner}": each for inner, each in getattr(command, "commands", {}).items()}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_shown_has_its_verb_and_its_options(page: Path) -> None:
    known = verbs()
    for command in commands(page.read_text(encoding="utf-8")):
        program, *words = shlex.split(command)
        if program == "python":
            assert (REPO / words[0]).is_file(), command
        if program != "seqvae":
            continue
        verb = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        options = {option for parameter in known[verb].params for option in parameter.opts}
        assert {word for word in words if re.fullmatch("--?[a-z].*", word)} <= options, command


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_is_in_the_readme_and_has_an_example(verb: str) -> None:
    assert f"seqvae {verb} " in README or verb in README
    command = verbs()[verb]
    if not hasattr(command, "commands"):
        assert f"seqvae {verb}" in command.help, "an Example block in its help"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    inside = [target.partition("#")[0] for target in targets if "://" not in target]
    assert [target for target in inside if not (page.parent / target).exists()] == []


def test_the_table_of_settings_is_that_of_the_code() -> None:
    text = (REPO / "docs" / "presets.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+\.\w+)` \| `(.+?)` \| \S", text, re.MULTILINE)
    documented = {name: tomllib.loads(f"value = {value}")["value"] for name, value in rows}
    preset = Preset(name="", description="")
    settings = {
        f"{section}.{field.name}": getattr(getattr(preset, section), field.name)
        for section in ("tokenizer", "model", "objective", "train")
        for field in dataclasses.fields(getattr(preset, section))
    }
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    assert documented == plain
    assert [name for name, _ in rows] == list(settings), "in the order of the code"
    assert [name for name in preset_names() if f"| `{name}` |" not in text] == []


def test_the_tables_of_measures_are_those_of_evaluate() -> None:
    text = (REPO / "docs" / "measures.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
    patterns = {name for cell in cells for name in re.findall("`(.+?)`", cell)} | {"pair_distance"}
    measured = set()
    for kind in ("drums", "trio", "groove", "melody-given", "raw-integers", "text-words"):
        tiny, windows = untrained(kind)
        amounts = {"samples": 16, "pairs": 4, "iw_samples": 2, "iw_width": 1.2}
        card = report_card(tiny, windows, train_windows=windows, valid=lambda item: True, **amounts)
        measured |= {figure.name for figure in card.figures}
    language_model, windows = untrained("text-words", z_size=0)
    measured |= {figure.name for figure in report_card(language_model, windows).figures}
    matching = {
        pattern: set(filter(re.compile(pattern.replace("…", ".+")).fullmatch, measured)) for pattern in patterns
    }
    assert [pattern for pattern, names in matching.items() if not names] == []
    assert measured - set().union(*matching.values()) == set()


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_tree_names_every_room(page: str) -> None:
    text = (REPO / page).read_text(encoding="utf-8")
    (tree,) = [block for block in blocks(text, "") if "seqvae/" in block]
    rooms = {
        path.name.removesuffix(".py") for path in (REPO / "seqvae").iterdir() if not path.name.startswith((".", "_"))
    }
    assert [room for room in sorted(rooms) if not re.search(rf"\b{room}\b", tree)] == []


def test_the_changelog_has_its_form() -> None:
    text = (REPO / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "keepachangelog.com" in text
    headings = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert re.search(r"^## \[Unreleased\]|^## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", text, re.MULTILINE)
