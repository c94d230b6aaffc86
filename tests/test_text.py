"""Texts: reading, words and their way back, vocabularies, the splits of lines, and what is refused in one line."""

from __future__ import annotations

import hashlib
import json
import lzma
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqvae.chords import parse_chord
from seqvae.clip import Clip
from seqvae.config import load_preset
from seqvae.corpus import prepare
from seqvae.corpus.lines import named_for
from seqvae.corpus.prepare import split_by_name
from seqvae.dataset import SPLITS, Dataset
from seqvae.errors import ConfigError, DataError, ReadError, SeqvaeError
from seqvae.texts import quoted, read_texts
from seqvae.tokenizers import TextTokenizer
from seqvae.tokenizers.chordwords import SHIFTS, beside_key, in_all_keys, spell
from seqvae.tokenizers.words import CLOSING, OPENING, join_words, split_words

LEVELS = ("words", "chars", "subwords")
each_level = pytest.mark.parametrize("level", LEVELS)

SENTENCES = [
    "A man rides a bicycle, slowly.",
    "Two dogs don't eat the man's bicycle!",
    'The man said: "slowly" (twice).',
    "A bicycle and two men.",
]

letters = st.text(st.characters(codec="utf-8"), max_size=30)
texts = letters | st.lists(st.sampled_from(["a", "man's", ".", "(", '"', "3.5", "<unk>", "é", "-"])).map(" ".join)


# -- laws ----------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(text=texts)
def test_words_come_apart_as_they_went_together(text: str) -> None:
    words = split_words(text)
    assert split_words(join_words(words)) == words
    assert "".join(words) == "".join(text.split())  # nothing but white space is lost


@settings(max_examples=100)
@given(words=st.lists(st.sampled_from([*sorted(CLOSING | OPENING), '"', "a", "b-c", "'", "3.5", "<unk>", "–", "5"])))
def test_any_words_stay_apart(words: list[str]) -> None:
    assert split_words(join_words(words)) == words


@each_level
@pytest.mark.parametrize("lowercase", [False, True])
@settings(max_examples=40)
@given(data=st.data())
def test_a_text_in_the_vocabulary_comes_back_whole(level: str, lowercase: bool, data: st.DataObject) -> None:
    lines = ["a", *data.draw(st.lists(texts, max_size=4))]
    open_ = TextTokenizer(level=level, lowercase=lowercase, max_length=200, limit=1000)  # type: ignore[arg-type]
    tokenizer = open_.fit(lines)
    assert tokenizer.fitted and not open_.fitted
    for line in lines:
        again = tokenizer.decode(tokenizer.encode(line))
        np.testing.assert_array_equal(tokenizer.encode(again), tokenizer.encode(line))
        assert tokenizer.decode(tokenizer.encode(again)) == again
        if level != "words":
            assert again == tokenizer._plain(line)
        else:
            assert again.replace(" ", "") == tokenizer._plain(line).replace(" ", "")


@each_level
def test_the_same_texts_give_the_same_vocabulary(level: str) -> None:
    tokenizer = TextTokenizer(level=level, limit=60)  # type: ignore[arg-type]
    assert tokenizer.fit(SENTENCES * 3) == tokenizer.fit(SENTENCES * 3)
    assert tokenizer.fit(SENTENCES).alphabet.largest <= 62


@settings(max_examples=50)
@given(lines=st.lists(texts), limit=st.integers(1, 9))
def test_the_vocabulary_is_the_commonest_words(lines: list[str], limit: int) -> None:
    lines = ["a a", *lines]
    found = TextTokenizer(limit=limit, min_count=2).fit(lines).vocabulary
    counts = Counter(word for line in lines for word in split_words(TextTokenizer()._plain(line)))
    counts.pop("<unk>", None)
    common = [word for word, count in counts.items() if count >= 2]
    assert len(found) == min(limit, len(common)) and set(found) <= set(common)
    left_out = [counts[word] for word in common if word not in found]
    assert [counts[word] for word in found] == sorted((counts[word] for word in found), reverse=True)
    assert max(left_out, default=0) <= min((counts[word] for word in found), default=0)


CHORDS = st.sampled_from(["C", "A:min7/b3", "F#m7b5", "N", "|", ".", "Bbmaj7", "(2/4)", "G/B"])


@settings(max_examples=50)
@given(words=st.lists(CHORDS, min_size=1, max_size=8), key=st.integers(0, 11))
def test_transposing_words_transposes_chords(words: list[str], key: int) -> None:
    tokenizer = TextTokenizer(breaks="spaces", chords=True, max_length=8).fit([" ".join(words)])
    tokens = tokenizer.encode(" ".join(words))
    moved = tokenizer.augmentations[key][tokens]
    assert not (moved == tokenizer.unknown).any()
    for before, after in zip(words, tokenizer.decode(moved).split(), strict=True):
        given, found = (parse_chord(word) if word[0] in "ABCDEFGN" else word for word in (spell(before), after))
        if given is None or isinstance(given, str):
            assert found == given
        else:
            assert found is not None and not isinstance(found, str)
            assert (found.root - given.root) % 12 == (found.bass - given.bass) % 12 == SHIFTS[key] % 12
            assert found.quality == given.quality
    assert tokenizer.line_key(tokenizer.decode(moved)) == tokenizer.line_key(" ".join(words))


@pytest.mark.parametrize("word", ["C", "Am/C", "Bbmaj7", "F#m7b5", "N.C.", "|", "(2/4)", "hello"])
def test_one_spelling_of_a_chord_is_one(word: str) -> None:
    assert spell(spell(word)) == spell(word)
    assert len(in_all_keys(word)) == 12 and in_all_keys(word)[0] == spell(word)
    assert beside_key(beside_key(word)) == beside_key(word)


# -- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a dog.", ["a", "dog", "."]),
        ("don't well-known dogs' 3.5 1,000", ["don't", "well-known", "dogs", "'", "3.5", "1,000"]),
        ("It costs $5 (10%)!", ["It", "costs", "$", "5", "(", "10", "%", ")", "!"]),
        ("a.b 3. 5", ["a", ".", "b", "3", ".", "5"]),
        ("हिन्दी x̂", ["हिन्दी", "x̂"]),
        ("<unk> <b>", ["<unk>", "<", "b", ">"]),
    ],
)
def test_where_words_end(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_quotes_open_and_close_by_turns() -> None:
    assert join_words(split_words('she said "no" and "yes".')) == 'she said "no" and "yes".'


def test_texts_that_come_in_tokens_are_left_so() -> None:
    line = "mr. <unk> is chairman of n.v. N 's"
    tokenizer = TextTokenizer(breaks="spaces").fit([line])
    assert tokenizer.decode(tokenizer.encode(line)) == line
    assert (
        tokenizer.encode(line)[:9].tolist()
        == [
            *map(tokenizer._index.get, ["mr."]),
            1,
            *(  # type: ignore[misc]
                tokenizer._index[word] for word in line.split()[2:]
            ),
            0,
        ]
    )


def test_unknown_letters_and_words_are_shown_as_such() -> None:
    assert TextTokenizer(vocabulary=("a",)).decode(np.array([2, 1, 2])) == "a <unk>"  # the last is always the end
    words = TextTokenizer(max_length=4, vocabulary=("a", "dog"))
    assert words.decode(words.encode("A dog a dog")) == "<unk> dog a dog"
    chars = TextTokenizer(level="chars", max_length=4, vocabulary=("a", "b"))
    assert chars.decode(chars.encode("ab€b")) == "ab\ufffdb"


def test_pieces_of_words_know_words_never_met() -> None:
    tokenizer = TextTokenizer(level="subwords", lowercase=True, limit=60).fit(SENTENCES * 5)
    assert tokenizer.decode(tokenizer.encode("Bicycles said slow")) == "bicycles said slow"
    assert len(tokenizer.names) == tokenizer.alphabet.largest - 2
    settings = json.loads(tokenizer.subwords)
    assert settings["added_tokens"] == []  # or a text that has one would end


# -- what is refused -----------------------------------------------------------------------------------------------

FITTED = TextTokenizer(max_length=12).fit(SENTENCES)


def one_line(error: pytest.ExceptionInfo[SeqvaeError]) -> str:
    message = str(error.value)
    assert "\n" not in message and len(message) < 250
    return message


def test_a_text_of_ten_thousand_words() -> None:
    with pytest.raises(DataError, match="10,000 words and the model reads at most 12; give a shorter") as error:
        FITTED.encode("dog " * 10_000)
    one_line(error)
    assert FITTED.windows("dog " * 10_000).skipped == {"longer than 12 words": 1}


@each_level
def test_a_text_of_an_unknown_script(level: str) -> None:
    tokenizer = TextTokenizer(level=level, limit=99).fit(SENTENCES)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="unknown to the model; it knows") as error:
        tokenizer.encode("Привет, мир и люди")
    one_line(error)
    found = tokenizer.windows("Привет, мир и люди")
    assert found.skipped == {f"mostly unknown {level}": 1} and found.tokens.shape == (0, tokenizer.length)


def test_an_empty_text() -> None:
    assert FITTED.windows(" \t").skipped == {"empty": 1}
    assert not FITTED.encode("").any()
    for use in (FITTED.parse, FITTED.split):
        with pytest.raises(DataError, match="the text is empty"):
            use("  ")


def test_a_vocabulary_that_is_not_learned_yet() -> None:
    with pytest.raises(ConfigError, match="seqvae prepare"):
        TextTokenizer().encode("a dog")
    with pytest.raises(DataError, match="no text to learn"):
        TextTokenizer().fit(["", " "])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_length": 0}, "max_length is 0"),
        ({"limit": 70_000}, "limit 70000"),
        ({"vocabulary": ["a b"]}, "'a b', which is none of its words"),
        ({"vocabulary": ["Dog"], "lowercase": True}, "'Dog'"),
        ({"level": "chars", "vocabulary": ["ab"]}, "'ab', which is none of its chars"),
        ({"vocabulary": ["a", "a"]}, "a word twice"),
        ({"chords": True}, "breaks = spaces"),
        ({"level": "subwords", "vocabulary": ["a"]}, "of their own"),
        ({"level": "subwords", "subwords": "{}"}, "no tokenizer of Hugging Face"),
    ],
)
def test_wrong_settings(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _ = TextTokenizer(**wrong).alphabet


def test_only_chords_are_played(tmp_path: Path) -> None:
    chords = TextTokenizer(breaks="spaces", chords=True, max_length=20).fit(["C | G/B . F C | Am7 | N"])
    item = chords.decode(chords.encode(chords.parse("C G/B Am7 F")))
    assert item == "C | G/B | Am7 | F"
    clip = Clip.load(chords.write(item, tmp_path / "a.mid", overwrite=False))
    assert clip.length_beats == 16.0 and clip.tracks[0].notes["pitch"].min() == 36  # C2, the first bass
    with pytest.raises(DataError, match="only chords can be played"):
        FITTED.write("a dog", tmp_path / "b.mid", overwrite=False)


# -- files ---------------------------------------------------------------------------------------------------------


def test_line_ends_and_byte_order_marks(tmp_path: Path) -> None:
    for name, content in {
        "a.txt": b"\xef\xbb\xbfone\r\ntwo\rthree\n\nfour",
        "b.txt": b"one\ntwo\nthree\n\nfour\n",
        "c.csv": '\ufeff"text",n\r\none,1\r\ntwo,2\r\n"three",3\r\n,4\r\nfour,5\r\n'.encode(),
        "d.tsv": b"n\ttext\n1\tone\n2\ttwo\n3\tthree\n4\t\n5\tfour\n",
        "e.jsonl": b'{"text": "one"}\n"two"\n{"text": "three", "n": 1}\n\n{"text": "four"}\n',
    }.items():
        (tmp_path / name).write_bytes(content)
        assert read_texts(tmp_path / name) == ["one", "two", "three", "", "four"]
    assert FITTED.read_all(tmp_path / "a.txt") == ["one", "two", "three", "four"]
    assert FITTED.read(tmp_path / "a.txt") == "one"


def test_paragraphs_and_columns(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n\n\n three\n")
    assert read_texts(tmp_path / "a.txt", paragraphs=True) == ["one two", " three"]
    (tmp_path / "a.csv").write_text('id,story\n1,"two\nlines, ""quoted"""\n2,b\n')
    assert read_texts(tmp_path / "a.csv", column="story") == ['two\nlines, "quoted"', "b"]
    (tmp_path / "b.csv").write_text("1,a dog\n2,\n3\n")
    assert read_texts(tmp_path / "b.csv", column="2") == ["a dog", "", ""]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "ok\ncafé\n".encode("latin-1"), r"line 2, byte 6 is 0xe9\); save it as UTF-8"),
        ("a.txt", "hello".encode("utf-16"), "is no UTF-8"),
        ("a.txt", b"", "is empty"),
        ("a.csv", b"id,story\n1,a\n", "no column 'text'; its first row is 'id', 'story'"),
        ("a.csv", b"\n\n", "is empty"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "line 2 is no JSON"),
        ("a.jsonl", b'{"story": "a"}\n', "line 1 has no field 'text'; it has 'story'"),
        ("a.jsonl", b'{"text": 3}\n', "line 1 holds a int"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((ReadError, DataError), match=message) as error:
        FITTED.read_all(tmp_path / name)
    assert "\n" not in str(error.value) and str(error.value).startswith(str(tmp_path / name))


def test_messages_show_the_beginning_of_a_text() -> None:
    assert quoted("a\nb") == "'a b'"
    assert len(quoted("word " * 1000)) < 50


# -- corpora -------------------------------------------------------------------------------------------------------

WORDS = [f"w{number}" for number in range(40)]


def made_up(seed: int, count: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(3, 9))) + "." for _ in range(count)]


def drawn(line: str) -> str:
    return split_by_name(" ".join(split_words(line)))


def rows(dataset: Dataset, split: str) -> set[str]:
    return {dataset.tokenizer.decode(row) for row in dataset.windows(split)}  # type: ignore[arg-type]


def test_each_line_goes_to_a_split_by_itself(tmp_path: Path) -> None:
    lines = made_up(1, 800)
    (tmp_path / "a.txt").write_text("\n".join([*lines[:500], "", *lines[:20]]))
    (tmp_path / "b.txt").write_text("\n".join(lines[400:]).replace(".", " .  "))
    report = prepare([tmp_path / "a.txt", tmp_path / "b.txt"], TextTokenizer(), tmp_path / "data")
    dataset = Dataset.open(tmp_path / "data")
    found = [rows(dataset, split) for split in SPLITS]
    assert set.union(*found) == set(lines) and not found[0] & found[1] and not found[0] & found[2]
    for index, split in enumerate(SPLITS):
        assert found[index] == {line for line in lines if drawn(line) == split}
    assert report.also_in_train == {"valid": 0, "test": 0}
    assert report.items == 500 + 1 + 20 + 400 and report.unused["empty"].count == 1
    assert report.sources == report.items - 1
    assert sum(report.windows.values()) == len(set(lines))

    sources = dataset.source_list()
    assert {source.name for source in sources} == {"a.txt", "b.txt"}
    for source in sources:
        for row in range(source.first, source.last):
            origin = dataset.origins[row]
            line = (lines if source.name == "a.txt" else lines[400:])[int(origin["start"]) - 1]
            assert origin["source"] == source.id and dataset.tokenizer.decode(dataset.tokens[row]) == line


def test_files_named_for_a_split_keep_their_lines(tmp_path: Path) -> None:
    parts = {"train": made_up(1, 300), "dev": made_up(2, 30), "test": made_up(3, 30)}
    for name, lines in parts.items():
        (tmp_path / f"corpus.{name}.txt").write_text("\n".join(lines))
    report = prepare(tmp_path, TextTokenizer(), tmp_path / "data")
    dataset = Dataset.open(tmp_path / "data")
    assert [rows(dataset, split) for split in SPLITS] == [set(lines) for lines in parts.values()]
    assert len(report.notes) == 3

    report = prepare([tmp_path / "corpus.train.txt", tmp_path / "corpus.test.txt"], TextTokenizer(), tmp_path / "two")
    dataset = Dataset.open(tmp_path / "two")
    assert rows(dataset, "test") == set(parts["test"])
    assert rows(dataset, "valid") == {line for line in parts["train"] if drawn(line) == "valid"}
    assert "no file is named for valid" in report.notes[-1]

    prepare(tmp_path / "corpus.test.txt", TextTokenizer(), tmp_path / "one")  # alone, its name decides nothing
    assert rows(Dataset.open(tmp_path / "one"), "train")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.txt", "train"),
        ("a/val.csv", "valid"),
        ("test_coco.txt", "test"),
        ("ptb.valid.txt", "valid"),
        ("latest.txt", None),
        ("test/a.txt", None),
        ("my test of it.txt", None),
    ],
)
def test_names_of_files(name: str, split: str | None) -> None:
    assert named_for(name) == split


def test_the_vocabulary_is_learned_from_train_alone(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a dog runs\na dog sleeps\na cat runs\n")
    (tmp_path / "valid.txt").write_text("a dog flies\n")
    (tmp_path / "test.txt").write_text("one two three four\na bird runs a\n")
    report = prepare(tmp_path, TextTokenizer(max_length=8), tmp_path / "data")
    dataset = Dataset.open(tmp_path / "data")
    assert dataset.tokenizer.vocabulary == ("a", "dog", "runs", "cat", "sleeps")  # type: ignore[attr-defined]
    assert rows(dataset, "valid") == {"a dog <unk>"} and rows(dataset, "test") == {"a <unk> runs a"}
    assert report.unused["mostly unknown words"].examples == [f"{tmp_path.name}/test.txt:1"]
    values = json.loads((tmp_path / "data" / "report.json").read_text())
    assert values["lines"]["vocabulary"] == 7 and values["lines"]["unknown"]["valid"] == pytest.approx(1 / 3, abs=1e-3)
    assert not {"tempo_qpm", "meters", "tracks", "grid"} & set(values)
    again = prepare(tmp_path, dataset.tokenizer, tmp_path / "again")
    assert again.windows == report.windows and Dataset.open(tmp_path / "again").hash == dataset.hash


def test_a_corpus_of_rejects_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("café\n".encode("latin-1"))
    (tmp_path / "b.txt").write_text("word " * 50)
    with pytest.raises(DataError, match="1 × is no UTF-8 text; 1 × longer than 40 words"):
        prepare(tmp_path, TextTokenizer(), tmp_path / "data")
    assert not (tmp_path / "data").exists()
    with pytest.raises(ConfigError, match="are of music"):
        prepare(tmp_path, TextTokenizer(), tmp_path / "data", meter="4/4")


def test_two_lines_are_enough(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a dog\na dog runs\n")
    report = prepare(tmp_path / "a.txt", TextTokenizer(level="chars"), tmp_path / "data")
    assert report.windows == {"train": 1, "valid": 1, "test": 0}


@each_level
def test_a_dataset_is_the_same_every_time(tmp_path: Path, level: str) -> None:
    (tmp_path / "a.txt").write_text("\n".join(made_up(4, 100)))
    tokenizer = TextTokenizer(level=level, limit=90, max_length=60)  # type: ignore[arg-type]
    hashes = []
    for name in ("one", "two"):
        prepare(tmp_path / "a.txt", tokenizer, tmp_path / name)
        hashes.append(Dataset.open(tmp_path / name).hash)
    assert hashes[0] == hashes[1]


def test_a_progression_is_in_one_split_in_all_its_keys(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    lines = [" | ".join(rng.choice(["C", "F", "G7", "Am", "Dm", "N"], size=5)) for _ in range(200)]
    keys = [[" ".join(in_all_keys(word)[key] for word in line.split()) for line in lines] for key in (0, 3, 8)]
    (tmp_path / "a.txt").write_text("\n".join(line for of in keys for line in of))
    prepare(tmp_path / "a.txt", TextTokenizer(breaks="spaces", chords=True), tmp_path / "data")
    dataset = Dataset.open(tmp_path / "data")
    found = [{beside_key(line) for line in rows(dataset, split)} for split in SPLITS]
    assert all(found) and not found[0] & found[1] and not found[0] & found[2] and not found[1] & found[2]


def test_a_progression_that_train_has_in_another_key_is_not_unseen(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("C | F | G7\nAm | Dm\nC | Dm | N\n")
    (tmp_path / "valid.txt").write_text("C | C\n")
    (tmp_path / "test.txt").write_text("D | G | A7\nC | G | F\nAm | Dm\n")
    report = prepare(tmp_path, TextTokenizer(breaks="spaces", chords=True), tmp_path / "data")
    dataset = Dataset.open(tmp_path / "data")
    assert dataset.unseen("test").tolist() == [False, True, False]
    assert dataset.unseen("train").all() and report.also_in_train == {"valid": 0, "test": 2}


# -- real texts ----------------------------------------------------------------------------------------------------


def test_every_caption_comes_back(shared_data: Path) -> None:
    tokenizer = load_preset("captions").tokenizer
    lines = tokenizer.read_all(shared_data / "text" / "image_coco" / "train.txt")
    fitted = tokenizer.fit(lines)
    assert isinstance(fitted, TextTokenizer) and fitted.vocabulary[0] == "a"
    whole = TextTokenizer(lowercase=True, limit=60_000, max_length=60).fit(lines)
    for line in lines[:2000]:
        assert whole.decode(whole.encode(line)).replace(" ", "") == whole._plain(line).replace(" ", "")


def test_penn_treebank_has_its_figures(shared_data: Path) -> None:
    folder = shared_data / "text" / "ptb"
    train = lzma.decompress((folder / "train.txt.xz").read_bytes()).decode().splitlines()
    tokenizer = TextTokenizer(breaks="spaces", max_length=90).fit(train)
    assert tokenizer.alphabet.largest == 10_000
    test = tokenizer.read_all(folder / "test.txt")
    tokens = np.stack([tokenizer.encode(line) for line in test])
    assert len(test) == 3_761 and tokenizer.alphabet.lengths(tokens).sum() == 82_430
    assert [tokenizer.decode(row) for row in tokens] == [" ".join(line.split()) for line in test]
    digest = hashlib.md5((folder / "test.txt").read_bytes(), usedforsecurity=False).hexdigest()
    assert digest == "8b80168b89c18661a38ef683c0dc3721"
