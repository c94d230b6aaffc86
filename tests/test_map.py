"""Maps of latent space: what they do not depend on, what they are coloured by, and the prior beside them."""

from __future__ import annotations

import json
import sys
import types
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import KINDS
from matplotlib.colors import to_rgb
from tiny import PRESET, TUNES, by_heart, melody, save_tiny, trained

from seqvae.checkpoint import save_model
from seqvae.cli.app import main
from seqvae.clip import Clip, Track, notes_array
from seqvae.errors import ConfigError, DataError
from seqvae.latent import AggregatePosterior
from seqvae.plot import latent_map, posterior_against_prior
from seqvae.plot.canvas import FROM_COLOUR
from seqvae.plot.prior import _told_apart
from seqvae.projection import pca, tsne, umap

fast = settings(max_examples=20)


def pixels(path: Path) -> np.ndarray:
    return matplotlib.image.imread(path)[..., :3]


def rotation(size: int, seed: int) -> np.ndarray:
    found, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    return found


def two_groups(n: int = 40, size: int = 6) -> np.ndarray:
    """Two groups in opposite directions."""
    rng = np.random.default_rng(0)
    middle = np.repeat((5.0, -5.0), n // 2)[:, None] * np.eye(size)[0]
    return (middle + 0.3 * rng.standard_normal((n, size))).astype(np.float32)


# -- the plane -------------------------------------------------------------------------------------------------------


@fast
@given(st.integers(0, 2**32 - 1))
def test_the_map_is_made_of_the_covariances_largest_eigenvectors(seed):
    rng = np.random.default_rng(seed)
    z = (rng.standard_normal((60, 5)) @ rng.standard_normal((5, 5)) + rng.standard_normal(5)).astype(np.float32)
    found = pca(z)
    covariance = np.cov(z.astype(np.float64), rowvar=False, bias=True)
    values, vectors = np.linalg.eigh(covariance)
    expected = (z - z.mean(axis=0)) @ vectors[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(found.points), np.abs(expected), atol=1e-3)
    np.testing.assert_allclose(found.points.var(axis=0), values[::-1][:2], rtol=1e-4)
    np.testing.assert_allclose(found.explained, values[::-1][:2] / values.sum(), rtol=1e-4)


@fast
@given(st.integers(0, 2**32 - 1), st.floats(-50, 50), st.floats(0.01, 100))
def test_turning_and_moving_the_space_leaves_the_map_as_it_is(seed, shift, scale):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((30, 5)) * (5.0, 3.0, 1.0, 0.5, 0.2)
    turned = pca(z @ rotation(5, seed) + shift)
    np.testing.assert_allclose(np.abs(turned.points), np.abs(pca(z).points), atol=1e-8)
    np.testing.assert_allclose(turned.explained, pca(z).explained, atol=1e-10)
    np.testing.assert_allclose(pca(scale * z).points, scale * pca(z).points, atol=1e-8 * scale)


def test_the_maps_signs_are_fixed():
    z = np.random.default_rng(1).standard_normal((50, 3)) * np.array([3.0, 2.0, 1.0])
    order = np.random.default_rng(2).permutation(50)
    np.testing.assert_allclose(pca(z[order]).points, pca(z).points[order], atol=1e-9)
    # The largest weight of each axis is positive: the first axis points along the first dimension, not against it.
    assert np.corrcoef(pca(z).points[:, 0], z[:, 0])[0, 1] > 0.9
    assert np.corrcoef(pca(z).points[:, 1], z[:, 1])[0, 1] > 0.9


@pytest.mark.parametrize("z", [np.zeros((2, 4)), np.zeros((5, 1)), np.zeros(5), np.full((5, 3), np.nan)])
@pytest.mark.parametrize("project", [pca, tsne, umap])
def test_what_cannot_be_mapped(project, z):
    with pytest.raises(DataError):
        project(z)


@pytest.mark.parametrize("n", [4, 40])
def test_tsne_keeps_groups_apart_and_is_the_same_again(n):
    pytest.importorskip("sklearn")
    z = two_groups(n)
    found = tsne(z, seed=3)
    assert found.points.shape == (n, 2)
    assert found.explained is None
    assert np.array_equal(found.points, tsne(z, seed=3).points)
    first, second = found.points[: n // 2], found.points[n // 2 :]
    if n > 4:
        gap = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))
        assert gap > max(np.linalg.norm(side - side.mean(axis=0), axis=1).max() for side in (first, second))
        # By the angle: how long a vector is plays no part.
        longer = z * np.random.default_rng(1).uniform(1.0, 3.0, (n, 1)).astype(np.float32)
        assert tsne(longer, seed=3).points.shape == (n, 2)


class FakeUMAP:
    """Stands for the library's: says what it was given."""

    given: dict[str, object]

    def __init__(self, **settings: object) -> None:
        FakeUMAP.given = settings

    def fit_transform(self, z: np.ndarray) -> np.ndarray:
        return z[:, :2] * 2.0


def test_umap_is_asked_for_a_seeded_map_by_the_angle(monkeypatch):
    library = types.ModuleType("umap")
    library.UMAP = FakeUMAP  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "umap", library)
    found = umap(two_groups(10), seed=7)
    assert found.method == "umap"
    assert found.explained is None
    np.testing.assert_allclose(found.points, 2.0 * two_groups(10)[:, :2])
    asked = {name: FakeUMAP.given[name] for name in ("n_neighbors", "metric", "random_state", "n_jobs")}
    assert asked == {"n_neighbors": 9, "metric": "cosine", "random_state": 7, "n_jobs": 1}


@pytest.mark.slow
def test_umap_keeps_groups_apart_and_is_the_same_again():
    pytest.importorskip("umap")
    z = two_groups(60)
    points = umap(z, seed=1).points
    assert np.array_equal(points, umap(z, seed=1).points)
    first, second = points[:30], points[30:]
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > first.std() + second.std()


@pytest.mark.parametrize(("project", "library"), [(tsne, "sklearn.manifold"), (umap, "umap")])
def test_a_library_that_is_not_here_is_named(monkeypatch, project, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=r"seqvae\[map\]"):
        project(two_groups())


# -- the picture -----------------------------------------------------------------------------------------------------


def test_maps_by_value_and_by_label(tmp_path):
    z = np.random.default_rng(0).standard_normal((120, 4))
    by_value = latent_map(pca(z), tmp_path / "a.png", values=np.append(z[1:, 0], np.nan), name="density").read_bytes()
    again = latent_map(pca(z), tmp_path / "b.png", values=np.append(z[1:, 0], np.nan), name="density").read_bytes()
    assert by_value == again
    labels = [f"folder-{number % 12}" for number in range(120)]
    picture = pixels(latent_map(pca(z), tmp_path / "c.png", labels=labels, name="source"))
    assert (np.abs(picture - np.array(to_rgb(FROM_COLOUR))).max(axis=2) < 0.05).any()
    same = np.zeros(120)
    latent_map(pca(z), tmp_path / "d.png", values=same)
    latent_map(pca(z), tmp_path / "e.png", values=np.full(120, np.nan))
    latent_map(pca(np.zeros((4, 3))), tmp_path / "f.png")
    with pytest.raises(DataError, match="119 colours"):
        latent_map(pca(z), tmp_path / "g.png", values=same[1:])


def words_on(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All texts that a picture shows, as it is saved."""
    from seqvae.plot import map as maps

    shown: list[str] = []

    def look(figure, path, **_):
        shown.extend(text.get_text() for text in figure.findobj(match=lambda one: hasattr(one, "get_text")))
        return Path(path)

    monkeypatch.setattr(maps, "save", look)
    return shown


def test_axes_claim_a_variance_only_where_they_have_one(monkeypatch):
    projection = pca(two_groups())
    shown = words_on(monkeypatch)
    latent_map(projection, "a.png")
    assert any("of the variance" in text for text in shown)
    shown.clear()
    latent_map(replace(projection, method="tsne", explained=None), "a.png")
    assert any(text.startswith("t-SNE: near is alike") for text in shown)
    assert not any("variance" in text for text in shown)


def test_the_prior_picture_says_what_is_used_and_what_is_missed(tmp_path):
    rng = np.random.default_rng(0)
    # Two dimensions hold everything, one says nothing; the cloud is the prior's but for a shift in the first.
    means = np.stack([rng.normal(2.0, 0.8, 400), rng.normal(0.0, 0.8, 400), np.zeros(400)], axis=1).astype(np.float32)
    stds = np.tile(np.float32([0.6, 0.6, 1.0]), (400, 1))
    aggregate = AggregatePosterior(mean=np.array([2.0, 0.0, 0.0]), covariance=np.eye(3))
    fit = posterior_against_prior(means, stds, aggregate, tmp_path / "a.png", title="made up")
    assert fit.used == 2
    assert fit.cloud_kl == pytest.approx(2.0), "½ · 2² of the shift, and nothing of the shape"
    np.testing.assert_allclose(fit.variance_of_means + fit.noise, 1.0, atol=0.12)
    # ½ (μ² + σ² − ln σ² − 1) of each dimension.
    expected = 0.5 * (means.astype(float) ** 2 + stds**2 - np.log(stds**2) - 1.0).sum(axis=1).mean()
    assert fit.kl == pytest.approx(expected, rel=1e-5)
    assert fit.told_normal > 0.65 > 0.58 > fit.told_aggregate
    posterior_against_prior(means, stds, aggregate, tmp_path / "b.png", title="made up")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert json.loads(json.dumps(fit.to_dict()))["dimensions"] == 3


@fast
@given(st.integers(0, 2**32 - 1), st.floats(-5, 5))
def test_nearest_neighbours_tell_far_clouds_and_not_a_cloud_from_itself(seed, shift):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 300, 3))
    assert _told_apart(a, a + 100.0) == 1.0
    assert 0.4 < _told_apart(a, b) < 0.6
    assert _told_apart(a, b + 1.0) == pytest.approx(_told_apart(a + shift, b + shift + 1.0), abs=0.01)


def test_what_has_no_prior_picture(tmp_path):
    aggregate = AggregatePosterior.standard(3)
    with pytest.raises(DataError):
        posterior_against_prior(np.zeros((2, 3), "f4"), np.ones((2, 3), "f4"), aggregate, tmp_path / "a.png")
    with pytest.raises(DataError, match="one encoding"):
        posterior_against_prior(np.zeros((5, 3), "f4"), np.ones((4, 3), "f4"), aggregate, tmp_path / "a.png")


# -- the verb --------------------------------------------------------------------------------------------------------


@pytest.fixture
def plot_map(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path)
    for number in range(4):
        melody(number, bars=4).save(f"{'abab'[number]}/{number}.mid")

    def command(*arguments: object) -> tuple[int, str, str]:
        code = main(["plot", "map", *(str(argument) for argument in arguments), "--seed", "1"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


TINY = ("a", "b", "--model", "tiny.safetensors")


def test_plot_map_draws_files_by_source_and_by_attribute(plot_map):
    assert plot_map(*TINY)[:2] == (0, "map.png\n")
    assert plot_map(*TINY, "--colour", "pitch", "-o", "pitch.png")[0] == 0
    assert Path("map.png").read_bytes() != Path("pitch.png").read_bytes()
    code, out, _ = plot_map(*TINY, "--colour", "density", "-o", "density.png", "--json")
    told = json.loads(out)
    assert (code, told["method"], told["colour"], told["files"]) == (0, "pca", "density", ["density.png"])
    assert len(told["explained"]) == 2


def test_plot_map_by_tsne_claims_no_variance(plot_map):
    pytest.importorskip("sklearn")
    told = json.loads(plot_map(*TINY, "--method", "tsne", "--json")[1])
    assert told["method"] == "tsne"
    assert "explained" not in told


def test_plot_map_by_what_a_table_says(plot_map):
    Path("labels.csv").write_text("file,mood,stars\n0.mid,calm,1\n1.mid,wild,2\n2.mid,calm,3\n")
    table = ("--labels", "labels.csv", "--json", "--force")
    assert json.loads(plot_map(*TINY, *table, "--colour", "mood")[1])["colour"] == "mood"
    by_mood = Path("map.png").read_bytes()
    assert json.loads(plot_map(*TINY, *table, "--colour", "stars")[1])["colour"] == "stars"
    assert Path("map.png").read_bytes() != by_mood
    code, _, err = plot_map(*TINY, *table)
    assert code == 1
    assert "mood, stars; choose one with --colour" in err


def test_plot_map_shows_what_the_model_carries(plot_map):
    tokens = np.stack([PRESET.tokenizer.encode(tune) for tune in TUNES]).astype(np.uint8)
    save_model(Path("carries.safetensors"), replace(trained(), held_out=tokens))
    told = json.loads(plot_map("--model", "carries.safetensors", "--json")[1])
    assert (told["items"], told["colour"]) == (8, "density")
    prior = json.loads(plot_map("--model", "carries.safetensors", "--prior", "--json")[1])
    assert prior["files"] == ["prior.png"]
    assert prior["dimensions"] == 8
    code, _, err = plot_map("--model", "carries.safetensors", "--colour", "source", "-o", "b.png")
    assert code == 1
    assert "does not say where it is from" in err


def test_plot_map_of_texts_and_of_drums(plot_map):
    lines = ["a b c", "c b a", "b b", "a c a b", "c c"]
    Path("lines.txt").write_text("\n".join(lines))
    preset = replace(PRESET, name="words", tokenizer=KINDS["text-words"].fit(lines))
    save_model(Path("words.safetensors"), by_heart(preset, lines, steps=3))
    for colour in ("first", "length"):
        told = json.loads(
            plot_map("lines.txt", "--model", "words.safetensors", "--colour", colour, "--json", "--force")[1]
        )
        assert told["colour"] == colour
    beats = [
        Clip(
            tracks=(Track(notes=notes_array([(b, b + 0.25, pitch, 90) for b in range(8)]), is_drum=True),),
            length_beats=8.0,
        )
        for pitch in (36, 38, 42, 46)
    ]
    for number, beat in enumerate(beats):
        beat.save(f"beats/{number}.mid")
    save_model(
        Path("drums.safetensors"), by_heart(replace(PRESET, name="drums", tokenizer=KINDS["drums"]), beats, steps=3)
    )
    assert plot_map("beats", "--model", "drums.safetensors", "--prior")[:2] == (0, "prior.png\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((*TINY, "--colour", "taste"), 1, "syncopation-8th"),
        ((*TINY, "--colour", "first"), 1, "no attribute 'first'"),
        (("--model", "tiny.safetensors"), 1, "carries no windows"),
        ((*TINY, "-o", "a.jpg"), 2, "does not end in .png"),
        ((*TINY, "--prior", "--colour", "pitch"), 2, "leave --method, --colour and --labels out"),
        ((*TINY, "--labels", "nowhere.csv"), 1, "nowhere.csv"),
        ((*TINY, "--items", "2"), 1, "give 3 items or more"),
        ((*TINY, "--method", "magic"), 2, "magic"),
    ],
)
def test_mistakes_are_one_line(plot_map, arguments, code, words):
    before = sorted(Path().rglob("*"))
    found, out, err = plot_map(*arguments)
    assert (found, out) == (code, "")
    assert words in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("Error: ")
    assert sorted(Path().rglob("*")) == before
