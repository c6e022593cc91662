"""``python -m models.training --data ../shared/data --out models/artifacts``."""

import argparse
import logging
from pathlib import Path

from models.training import train


def main() -> None:
    """Train and say how far it is."""
    parser = argparse.ArgumentParser(prog="python -m models.training", description="Train the fast classifier.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for fast.onnx, fast.json and fast.md")
    parser.add_argument("--with-nc", action="store_true", help="learn from non-commercial sets too; not to be shipped")
    parser.add_argument("--soft", type=Path, default=None, help="soft.npz of the deep tier's training")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    say = logging.getLogger("training").info
    train(arguments.data, arguments.out, say, with_nc=arguments.with_nc, soft=arguments.soft)


if __name__ == "__main__":
    main()
