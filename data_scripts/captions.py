"""COCO captions: 20,000 sentences that describe photographs, the subset that Texygen uses to compare text generators.

Licence: CC BY 4.0, COCO Consortium (cocodataset.org), by way of geek-ai/Texygen (MIT). Whoever passes on the captions,
or a model trained on them, names the COCO Consortium.

Its own test file is the test split; of its train file every line whose SHA-1 modulo 100 is below 5 goes to validation.
The full stop, which ends some captions and not others, is left out at the end of a line; the rest is as it stands: in
lower case, with commas. Lines that occur in train as well are in the dataset, marked, and not in quoted figures.

    python data_scripts/captions.py -o data/captions
    python data_scripts/captions.py --from image_coco -o data/captions --text out/captions
"""

from __future__ import annotations

import fetch
import texts

from seqvae.dataset import Split

LICENCE = "CC BY 4.0, COCO Consortium (cocodataset.org): COCO captions, the subset of Texygen"
COMMIT = "3104e22ac75f3cc2070da2bf5e2da6d2bef149ad"
BASE = f"https://raw.githubusercontent.com/geek-ai/Texygen/{COMMIT}/data"
TRAIN_URL = f"{BASE}/image_coco.txt"
TRAIN_SHA256 = "2c0fd1f0f43aac6a9dc3926a535516ccf395de535e15ac1fd17cd569420736f5"
TEST_URL = f"{BASE}/testdata/test_coco.txt"
TEST_SHA256 = "72e25c9fb4d2cd43182ac602c92f6ffc377762147f9709572943b0b09174bcae"
VALID_PERCENT = 5


def captions(content: bytes, name: str) -> list[str]:
    """The clean lines of a file. Raises `ReadError`."""
    return texts.clean(line.rstrip(" .") for line in texts.lines(content, name))


def main() -> None:
    """Builds the dataset."""
    args = texts.arguments(__doc__, "captions")
    fetch.say(f"licence: {LICENCE}")
    with fetch.opened_if(args.source) as source:
        train = captions(fetch.content(source, TRAIN_URL, TRAIN_SHA256, name="train.txt"), "train.txt")
        test = captions(fetch.content(source, TEST_URL, TEST_SHA256, name="test.txt"), "test.txt")
    splits: dict[Split, list[str]] = {
        "train": [line for line in train if texts.percent(line) >= VALID_PERCENT],
        "valid": [line for line in train if texts.percent(line) < VALID_PERCENT],
        "test": test,
    }
    texts.build(args, splits, "captions", LICENCE)


if __name__ == "__main__":
    fetch.run(main)
