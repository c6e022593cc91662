"""Results of commands: each is told once, and again to who sends the command again."""

from typing import Any

from msgspec.structs import replace

from agents.dispatch.turn import Turn
from models.wire import CommandError, Result
from tables.reps import RESULTS_MAX, RepRow


def is_known(turn: Turn, row: RepRow, work: Any) -> bool:
    """Whether a command was carried out before; its result is sent again."""
    for command_id, result in row.results:
        if command_id == work.id:
            turn.address(work.tenant, work.rep_id, work.connection, result)
            return True
    return False


def tell_result(turn: Turn, work: Any, error: CommandError | None) -> None:
    """Note a command's result and tell it."""
    row = turn.floor.rep(work.tenant, work.rep_id)
    result = Result(re=work.id, ok=error is None, error=error)
    kept = replace(result, error=replace(error, case=None)) if error is not None else result
    turn.floor.save_rep(replace(row, results=(*row.results, (work.id, kept))[-RESULTS_MAX:]))
    turn.address(work.tenant, work.rep_id, work.connection, result)
