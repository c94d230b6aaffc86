"""`python -m benchmarks.run [training sampling prepare interpolate growth] [--quick] [-o FOLDER]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import growth, interpolate, prepare, sampling, table, training

BENCHMARKS = {
    "training": training.measure,
    "sampling": sampling.measure,
    "prepare": prepare.measure,
    "interpolate": interpolate.measure,
    "growth": growth.measure,
}


def main() -> None:
    """Measures, prints the tables, and writes results/NAME.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="only to see that it runs: the figures mean nothing")
    parser.add_argument("-o", "--output", type=Path, default=table.RESULTS, help="folder of the JSON files")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    for name in arguments.names or BENCHMARKS:
        result = BENCHMARKS[name](quick=arguments.quick)
        print(f"== {name} ==", *result.tables, sep="\n\n", end="\n\n")
        print(f"written: {result.write(arguments.output)}\n")


if __name__ == "__main__":
    main()
