"""Training: data, fit, evaluation, cards. Needs the extra ``zuruf[train]``."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import Misconfigured

if TYPE_CHECKING:
    from models.classifier import Card


def train(
    data: Path, out: Path, progress: Callable[[str], None], *, with_nc: bool = False, soft: Path | None = None
) -> "Card":
    """
    Train the fast classifier and write it with its card to a folder.

    Args:
        data: The folder of the sets, shared/data.
        out: Where fast.onnx, fast.json and fast.md go.
        progress: Is told each step, in a line.
        with_nc: Learn from the sets whose licence forbids commercial use, too; such weights must not be shipped.
        soft: What a deep net says of the pool: soft.npz of the deep tier's training; None to do without.

    Raises:
        Misconfigured: If a set is missing, or the packages of ``zuruf[train]`` are.
    """
    need_extra()
    from models.training.run import run

    return run(data, out, progress, with_nc=with_nc, soft=soft)


def need_extra() -> None:
    """
    Raise unless what training needs is there.

    Raises:
        Misconfigured: Naming the packages that are missing.
    """
    missing = [name for name in ("sklearn", "scipy", "onnx") if find_spec(name) is None]
    if missing:
        raise Misconfigured(f"training needs {', '.join(missing)}: pip install 'zuruf[train]'")
