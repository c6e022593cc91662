"""Training: data, fit, evaluation, cards. Needs the extra ``zuruf[train]``."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import Misconfigured

if TYPE_CHECKING:
    from models.classifier import Card


def train(data: Path, out: Path, progress: Callable[[str], None], *, free_only: bool = False) -> "Card":
    """
    Train the fast classifier and write it with its card to a folder.

    Args:
        data: The folder of the sets, shared/data.
        out: Where fast.onnx, fast.json and fast.md go.
        progress: Is told each step, in a line.
        free_only: Leave out texts under a licence that forbids commercial use.

    Raises:
        Misconfigured: If a set is missing, or the packages of ``zuruf[train]`` are.
    """
    need_extra()
    from models.training.run import run

    return run(data, out, progress, free_only=free_only)


def need_extra() -> None:
    """
    Raise unless what training needs is there.

    Raises:
        Misconfigured: Naming the packages that are missing.
    """
    missing = [name for name in ("sklearn", "scipy", "onnx") if find_spec(name) is None]
    if missing:
        raise Misconfigured(f"training needs {', '.join(missing)}: pip install 'zuruf[train]'")
