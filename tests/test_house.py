"""The house keeps its shape: the order of its rooms, what each may load, how long a function grows, what is shipped.

Docstrings on everything public are ruff's part (rule D1, `make lint`).
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seqvae.cli.app import GROUPS, VERBS
from seqvae.config import load_preset, preset_names

REPO = Path(__file__).resolve().parent.parent
PACKAGE = REPO / "seqvae"

# Read from top to bottom: a room imports only from those above it.
ORDER = (
    *("errors", "files", "cores"),
    *(
        "clip",
        "align",
        "chords",
        "keys",
        "midi",
        "score",
        "texts",
        "tokenizers",
        "config",
        "dataset",
        "replay",
        "corpus",
    ),
    *("fingerprints", "distances"),
    *(
        "recurrent",
        "embedding",
        "head",
        "encoder",
        "decoder",
        "hierarchy",
        "beam",
        "vae",
        "objective",
        "runtime",
        "team",
    ),
    *(
        "latent",
        "projection",
        "attributes",
        "checkpoint",
        "run",
        "validation",
        "train",
        "passage",
        "inference",
        "network",
        "model",
        "loading",
        "export",
        "perform",
        "nearby",
        "edit",
        "paths",
        "constraint",
        "evaluate",
        "ranking",
        "personal",
        "repairs",
        "plot",
        "cli",
        "__main__",
    ),
)
TORCH_ROOMS = {
    *(
        "recurrent",
        "embedding",
        "head",
        "encoder",
        "decoder",
        "hierarchy",
        "beam",
        "vae",
        "objective",
        "runtime",
        "team",
    ),
    *("run", "validation", "train", "export", "constraint", "evaluate"),
}
HEAVY = {"torch", "music21", "matplotlib", "PIL", "pretty_midi", "symusic", "scipy", "sklearn", "umap", "tokenizers"}
DOORS = {("clip", "midi"), ("clip", "score")}  # Clip.load, Clip.save and their like

MAX_FUNCTION_LINES = 50
MAX_MODULE_LINES = 500

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(REPO).as_posix()


def room_of(path: Path) -> str:
    """A folder counts as one room; seqvae/__init__.py, which imports nothing, as none."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST, at_module_level: bool = True) -> Iterator[tuple[str, bool]]:
    """The dotted names that run time imports, and whether as soon as the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_module_level) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the package in full"
            yield from ((f"{node.module}.{alias.name}", at_module_level) for alias in node.names)
        else:
            yield from imports(node, at_module_level and not isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_from_those_above_it(path: Path) -> None:
    room = room_of(path)
    for name, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
        package, _, rest = name.partition(".")
        above = rest.partition(".")[0]
        if package != "seqvae" or above == room or (room, above) in DOORS or above not in ORDER:
            continue
        assert ORDER.index(above) < ORDER.index(room), f"{name_of(path)} imports {name}, which is below it"


def test_every_room_has_its_place() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__"}
    assert rooms == set(ORDER)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_libraries_are_loaded_where_they_are_used(path: Path) -> None:
    at_once = {
        name.partition(".")[0] for name, at_module_level in imports(ast.parse(path.read_text())) if at_module_level
    }
    allowed = {"torch"} if room_of(path) in TORCH_ROOMS else set()
    assert at_once & HEAVY <= allowed


def test_importing_and_helping_load_no_heavy_library() -> None:
    code = f"""
import sys
import seqvae
from seqvae.cli.app import main
codes = [main(arguments) for arguments in {[["--help"], *([name, "--help"] for name in (*VERBS, *GROUPS))]!r}]
loaded = sorted({HEAVY!r} & set(sys.modules))
sys.exit(f"{{codes}} {{loaded}}" if any(codes) or loaded else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_and_modules_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    lengths = {node.name: body_lines(node) for node in functions}
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}
    lines = text.count("\n")
    assert lines <= MAX_MODULE_LINES


def body_lines(function: ast.FunctionDef) -> int:
    """Lines of the body; a signature may list many options, and a docstring may explain much."""
    body = function.body[ast.get_docstring(function) is not None :]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def tracked_files() -> list[Path]:
    if not (REPO / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, capture_output=True, text=True, check=True)
    return [REPO / name for name in listing.stdout.split("\0") if name and (REPO / name).is_file()]


def test_no_path_of_a_machine_and_no_registry_host_is_committed() -> None:
    # Written so that this file does not find itself.
    patterns = ["/wor[k]/", "/hom[e]/", "/User[s]/", "/roo[t]/", "/tm[p]/", "pypi[.]org", "pythonhosted[.]org"]
    patterns += ["download[.]pytorch[.]org", "index[-]url", "find[-]links"]
    forbidden = re.compile("|".join(patterns).encode())
    text = (path for path in tracked_files() if path.suffix not in (".safetensors", ".mid", ".png"))
    found = {name_of(path): sorted(set(forbidden.findall(path.read_bytes()))) for path in text}
    assert {name: words for name, words in found.items() if words} == {}


def test_nothing_is_pickled() -> None:
    names = {name.partition(".")[0] for path in MODULES for name, _ in imports(ast.parse(path.read_text()))}
    assert names & {"pickle", "cloudpickle", "joblib", "dill", "shelve"} == set()
    words = re.compile(r"torch\.(save|load)\(|allow_pickle=True")
    assert [name_of(path) for path in MODULES if words.search(path.read_text(encoding="utf-8"))] == []


def test_nothing_is_left_undone_or_swallowed() -> None:
    words = re.compile(
        r"TODO|FIXME|XXX|NotImplementedError|except:|except (Base)?Exception:\s+pass|# type: ignore$", re.MULTILINE
    )
    assert [name_of(path) for path in MODULES if words.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_loads_and_says_what_it_is(name: str) -> None:
    preset = load_preset(name)
    assert preset.name == name
    assert len(preset.description) > 10
    comments = [line for line in (REPO / "presets" / f"{name}.toml").read_text().splitlines() if line.startswith("#")]
    assert comments, "the file begins with a comment that says what it is for"


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    return table


def test_what_is_imported_is_declared_and_pinned() -> None:
    extras = project()["optional-dependencies"]  # the other extras are for scripts and tests
    wanted = [*project()["dependencies"], *extras["subwords"], *extras["map"], *extras["export"]]
    names = {"scikit-learn": "sklearn", "umap-learn": "umap", "pillow": "PIL"}
    declared = {re.split("[<>=]", requirement)[0] for requirement in wanted}
    found = {name.partition(".")[0] for path in MODULES for name, _ in imports(ast.parse(path.read_text()))}
    foreign = found - set(sys.stdlib_module_names) - {"seqvae", "__future__"}
    assert foreign == {names.get(name, name) for name in declared}
    pinned = {line.partition("==")[0].lower() for line in (REPO / "constraints.txt").read_text().splitlines()}
    assert declared <= pinned


@pytest.mark.slow
def test_the_wheel_holds_presets_and_models(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=REPO, check=True, capture_output=True)
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    assert {f"seqvae/presets/{name}.toml" for name in preset_names()} <= names
    assert {name_of(path) for path in PACKAGE.rglob("*") if path.suffix in (".py", ".safetensors")} <= names
    assert not any(name.startswith(("tests", "benchmarks", "examples", "runs")) for name in names)
