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
    parser.add_argument("--free-only", action="store_true", help="leave out texts under non-commercial licences")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(arguments.data, arguments.out, logging.getLogger("training").info, free_only=arguments.free_only)


if __name__ == "__main__":
    main()
