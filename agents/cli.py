"""
The command line.

``zuruf up | worker | gateway | connect | learn | init | check | replay | simulate | classify | learned | train |
evaluate``.
"""

import argparse
import asyncio
import io
import json
import logging
import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from agents import processes
from models.errors import Misconfigured, ZurufError
from streams.settings import Settings, load

STARTED_AT: Final = time.time()
"""When this process began, as far as anybody can tell from inside."""
MISCONFIGURED: Final = 2
INTERRUPTED: Final = 130
UNREAD: Final = 141  # As a shell has it for SIGPIPE.
LEVELS: Final = ("debug", "info", "warning", "error")
# Our transport and rows are services of mode, which tell each start and stop of theirs under our modules' names.
QUIET: Final = ("aiokafka", "faust", "mode", "asyncio", "streams.runs", "streams.rows")

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 well, 1 failed, 2 misconfigured."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    args = parser(
        replay="replay" in given[:1], simulate="simulate" in given[:1], staff="staff" in given[:1]
    ).parse_args(given)
    set_up_logging(args.log)
    _set_up_output()
    command: Command = args.command
    try:
        status = command(args)
        sys.stdout.flush()
        return status
    except Misconfigured as error:
        print(f"zuruf: {error}", file=sys.stderr)
        return MISCONFIGURED
    except (ZurufError, OSError) as error:
        if isinstance(error, BrokenPipeError) and _is_unread():
            return UNREAD
        print(f"zuruf {args.name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _set_up_output() -> None:
    """A letter that the terminal's encoding lacks is escaped, and output that was closed before we began goes nowhere."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the process lives.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _is_unread() -> bool:
    """Return whether it is our output that nobody reads any more, as after `head`; what is left of it then goes nowhere."""
    asked = select.poll()
    asked.register(sys.stdout.fileno(), select.POLLOUT)
    gone = any(event & select.POLLERR for _, event in asked.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return gone


# -- logging --------------------------------------------------------------------------------------------------------


class OneLine(logging.Formatter):
    """One record, one line, tracebacks too: what reads logs by the line sees each fault whole."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        return super().format(record).replace("\n", " | ")


def _is_news(record: logging.LogRecord) -> bool:
    """Return False for what every new group hears in its first second, as if it were an error."""
    return "GroupCoordinatorNotAvailableError" not in str(record.args or record.msg)


def set_up_logging(level: str) -> None:
    """Log to standard error; what the libraries say only from warning on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s"))
    handler.addFilter(_is_news)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


# -- the parser -----------------------------------------------------------------------------------------------------


def parser(*, replay: bool = True, simulate: bool = True, staff: bool = True) -> argparse.ArgumentParser:
    """
    Return the parser of all commands.

    Args:
        replay: Whether with the options of ``replay``, which only its own module knows: no other command imports it.
        simulate: The same for ``simulate``.
        staff: The same for ``staff``.
    """
    top = argparse.ArgumentParser(
        prog="zuruf",
        description="Zuruf: real-time stream processing for customer service in social media.",
        epilog="`zuruf COMMAND --help` says more. Variables ZURUF_* are listed in the README.",
    )
    commands = top.add_subparsers(title="commands", dest="name", metavar="COMMAND", required=True)
    _add_up(commands)
    _add_processes(commands)
    _add_configuration(commands)
    _add_replay(commands, with_options=replay)
    _add_simulate(commands, with_options=simulate)
    _add_staff(commands, with_options=staff)
    _add_classifier(commands)
    return top


def _add(commands: Any, name: str, command: Command, help_: str, description: str = "") -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=help_, description=description or help_[0].upper() + help_[1:] + "."
    )
    made.add_argument("--log", choices=LEVELS, default="info", help="level of the log on standard error (info)")
    made.set_defaults(command=command)
    return made


def _with_config(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    made.add_argument(
        "--config", type=Path, default=Path("zuruf.toml"), metavar="FILE", help="configuration (zuruf.toml)"
    )
    return made


def _add_up(commands: Any) -> None:
    made = _with_config(_add(commands, "up", _up, "run everything in one go, on an embedded Apache Kafka"))
    made.add_argument("--workers", type=int, default=1, metavar="N", help="number of workers, 1 to 4 (1)")
    made.add_argument("--fresh", action="store_true", help="begin anew: remove log, tables and chats first")
    made.add_argument("--announce", action="store_true", help="print the addresses as one line of JSON")
    demo = made.add_argument_group("demonstration")
    demo.add_argument(
        "--demo", action="store_true", help="with the configuration of the demonstration, its posts and simulated reps"
    )
    demo.add_argument("--pace", type=float, default=1.2, metavar="X", help="speed of the posts; 1.2 is 3 a second")
    demo.add_argument("--for", type=float, dest="for_s", metavar="S", help="send posts for S seconds, settle and end")
    demo.add_argument("--json", action="store_true", help="with --for: print an independent tally as the last line")
    demo.add_argument("--keep", action="store_true", help="go on with what the last demonstration left")


def _add_processes(commands: Any) -> None:
    worker = _with_config(_add(commands, "worker", _worker, "run a worker on the broker of ZURUF_BROKER"))
    worker.add_argument(
        "--partitions", type=int, metavar="N", help="of every topic; left out: as the table of topics; `zuruf up` has 4"
    )
    gateway = _with_config(_add(commands, "gateway", _gateway, "run a gateway for desks and boards"))
    gateway.add_argument("--chat", default="", metavar="URL", help="where the chat page is, for the start page's link")
    connect = _with_config(_add(commands, "connect", _connect, "run the connectors: webhooks, chat, outbox"))
    learn = _with_config(_add(commands, "learn", _learn, "learn from what reps correct, beside the stream"))
    deep = _with_config(_add(commands, "deep", _deep, "run the second reader: selected posts, read again and better"))
    for made in (worker, gateway, connect, learn, deep):
        made.add_argument("--announce", action="store_true", help="print one line of JSON when ready")
        made.add_argument("--held", action="store_true", help="end when standard input ends")


def _add_configuration(commands: Any) -> None:
    init = _add(commands, "init", _init, "write a zuruf.toml for your own brands")
    init.add_argument("--brands", type=Path, metavar="FILE", help="JSON list of brands; left out: a few questions")
    init.add_argument("--out", type=Path, default=Path("zuruf.toml"), metavar="FILE", help="where to (zuruf.toml)")
    init.add_argument("--force", action="store_true", help="write over a file that is there")
    _with_config(_add(commands, "check", _check, "load the configuration and say what it holds"))


def _add_replay(commands: Any, *, with_options: bool) -> None:
    made = _add(commands, "replay", _replay, "run recorded posts through the engine in virtual time")
    if with_options:
        from agents import replay

        replay.add_arguments(made)


def _add_simulate(commands: Any, *, with_options: bool) -> None:
    made = _add(commands, "simulate", _simulate, "try rules, reps and loads in virtual time")
    if with_options:
        from agents.simulation import command

        command.add_arguments(made)


def _add_staff(commands: Any, *, with_options: bool) -> None:
    made = _add(commands, "staff", _staff, "propose reps for each hour of the week, checked in virtual time")
    if with_options:
        from agents import staff

        staff.add_arguments(made)


def _add_classifier(commands: Any) -> None:
    made = _add(commands, "classify", _classify, "print the labels of texts, with their confidence and reasons")
    made.add_argument("texts", nargs="*", metavar="TEXT")
    made.add_argument(
        "--file", type=Path, action="append", metavar="F", help='JSON lines, {"text": ...} each; - is standard input'
    )
    made.add_argument("--tier", choices=("fast", "deep"), default="fast", help="which classifier (fast)")
    made.add_argument("--json", action="store_true", help="one JSON object a text, in order, for scripts")
    made.add_argument("--reasons", action="store_true", help="with --json: what speaks for each label; fast tier")
    learned = _with_config(_add(commands, "learned", _learned, "list what reps have taught the classifier"))
    learned.add_argument(
        "--rollback", nargs=2, metavar=("TENANT", "LABEL"), help="put the version before in place of the current one"
    )
    learned.add_argument("--json", action="store_true", help="as JSON, for scripts")
    train = _add(commands, "train", _train, "train the classifier; needs the extra `train`")
    train.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the artifact goes")
    train.add_argument("--with-nc", action="store_true", help="learn from non-commercial sets too; not to be shipped")
    train.add_argument(
        "--soft", type=Path, metavar="FILE", help="soft.npz of the deep tier's training; left out: the one that ships"
    )
    evaluate = _add(
        commands,
        "evaluate",
        _evaluate,
        "measure a classifier on texts that it was not trained on; needs the extra `train`",
    )
    evaluate.add_argument("--artifact", type=Path, metavar="FOLDER", help="left out: the one that ships")
    evaluate.add_argument("--tier", choices=("fast", "deep"), default="fast", help="which classifier (fast)")
    evaluate.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="report (report.html)")
    evaluate.add_argument("--json", action="store_true", help="print all figures as one JSON object")
    for command in (train, evaluate):
        command.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="with the labelled texts")


# -- processes ------------------------------------------------------------------------------------------------------


def _settings(args: argparse.Namespace) -> Settings:
    return load(args.config, os.environ)


def _silent(_facts: Any) -> None:
    """Announce to nobody."""


def _serve(args: argparse.Namespace, work: Callable[[processes.Announce, asyncio.Event], Any]) -> int:
    announce = processes.announce if args.announce else _silent

    async def served(stop: asyncio.Event) -> int:
        await work(announce, stop)
        return 0

    return processes.run(served, held=args.held)


def _worker(args: argparse.Namespace) -> int:
    from agents import serve

    settings = _settings(args)
    if args.partitions is not None and not 1 <= args.partitions <= 1000:
        raise Misconfigured.at("command line", "--partitions", args.partitions, "1 to 1000")
    return _serve(
        args, lambda announce, stop: serve.worker(settings, each=args.partitions, announce=announce, stop=stop)
    )


def _gateway(args: argparse.Namespace) -> int:
    from agents import serve

    settings = _settings(args)
    return _serve(args, lambda announce, stop: serve.gateway(settings, chat=args.chat, announce=announce, stop=stop))


def _connect(args: argparse.Namespace) -> int:
    from agents import serve

    settings = _settings(args)
    return _serve(args, lambda announce, stop: serve.connect(settings, announce=announce, stop=stop))


def _learn(args: argparse.Namespace) -> int:
    from agents import serve

    settings = _settings(args)
    return _serve(args, lambda announce, stop: serve.learn(settings, announce=announce, stop=stop))


def _deep(args: argparse.Namespace) -> int:
    from agents import serve

    settings = _settings(args)
    return _serve(args, lambda announce, stop: serve.deep(settings, announce=announce, stop=stop))


def _up(args: argparse.Namespace) -> int:
    from agents import up

    if args.demo:
        from agents.demo import show

        return show.run(args, STARTED_AT)
    settings = _settings(args)
    if args.fresh:
        up.begin_anew(settings)
    plan = up.Plan(settings, workers=args.workers, log_level=args.log, say=_say)
    ready = up.announce if args.announce else lambda standing: print(up.block(standing), flush=True)
    return processes.run(lambda stop: up.up(plan, stop, ready))


def _say(text: str) -> None:
    print(f"zuruf: {text}", file=sys.stderr, flush=True)


# -- configuration --------------------------------------------------------------------------------------------------


def _init(args: argparse.Namespace) -> int:
    from agents import scaffold

    if args.out.exists() and not args.force:
        raise Misconfigured(f"{args.out}: is there already; --force writes over it, --out NAME writes elsewhere")
    text = scaffold.from_brands(_brands(args.brands)) if args.brands else scaffold.ask(input, print)
    args.out.write_text(text, encoding="utf-8")
    print(f"{args.out} is written. Look it through, then: zuruf check --config {args.out}")
    return 0


def _brands(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path}: {error}; a JSON list of brands was meant") from error


def _check(args: argparse.Namespace) -> int:
    settings = _settings(args)
    print(f"{args.config} is sound.")
    for tenant in settings.tenants:
        print(f"\n{tenant.name} ({tenant.id}): {len(tenant.brands)} brands, {len(tenant.reps)} reps")
        for brand in tenant.brands:
            words = sum(len(kind) for kind in (brand.handles, brand.aliases, brand.products, brand.misspellings)) + 1
            hours = "always open" if brand.hours.always else f"hours in {brand.hours.zone}"
            first = brand.service_level.first_answer
            promise = "/".join(
                f"{minutes:g}" if minutes is not None else "-"
                for minutes in (first.at_once, first.urgent, first.important, first.less)
            )
            print(f"  brand {brand.id}: {words} words watched, answers within {promise} min, {hours}")
        for account in tenant.accounts:
            print(f"  account {account.id}: {account.connector}{f' of {account.brand}' if account.brand else ''}")
    return 0


# -- replay and classifier ------------------------------------------------------------------------------------------


def _replay(args: argparse.Namespace) -> int:
    from agents import replay

    return int(replay.run(args))


def _simulate(args: argparse.Namespace) -> int:
    from agents.simulation import command

    return command.run(args)


def _staff(args: argparse.Namespace) -> int:
    from agents import staff

    return staff.run(args)


def _classify(args: argparse.Namespace) -> int:
    from agents import classify

    files = args.file or [None]
    if len(files) > 1:
        raise Misconfigured.at("command line", "--file", ", ".join(map(str, files)), "one file")
    return classify.run(args.texts, files[0], args.tier, as_json=args.json, reasons=args.reasons)


def _learned(args: argparse.Namespace) -> int:
    from agents import learned, serve

    settings = _settings(args)
    serve.need_broker(settings)
    return learned.run(settings, tuple(args.rollback) if args.rollback else None, as_json=args.json)


def _train(args: argparse.Namespace) -> int:
    from agents import training

    return training.train(args.data, args.out, with_nc=args.with_nc, soft=args.soft)


def _evaluate(args: argparse.Namespace) -> int:
    from agents import training

    return training.evaluate(args.data, args.artifact, args.tier, args.out, as_json=args.json)


if __name__ == "__main__":
    sys.exit(main())
