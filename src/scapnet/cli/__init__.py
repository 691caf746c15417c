"""The command line, and the only place that knows it. Heavy modules are imported when a command needs them."""

import functools
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tyro.conf import CascadeSubcommandArgs
from tyro.extras import SubcommandApp

from scapnet.allocator import keep_memory
from scapnet.cli.data import data_check, data_show
from scapnet.cli.flags import check_resume, with_new_flags
from scapnet.cli.predict import explain, merge, predict, show
from scapnet.cli.ship import bench, export, report, serve
from scapnet.cli.train import eval_, probe, reproduce, resume, train
from scapnet.config.checks import collected_errors, raised_errors
from scapnet.errors import last_line
from scapnet.terminal import hints
from scapnet.terminal.faults import machine_fault
from scapnet.training.signals import Stopped

STYLE = (CascadeSubcommandArgs,)  # a command's own settings may come before or after the preset
# What to do after Ctrl-C, for the commands that can continue.
CONTINUE = dict.fromkeys(("train", "resume"), "; continue the run with: scapnet resume RUN") | {
    "reproduce": "; repeat the command to continue"
}


def checked(command: Callable[..., None], errors: Sequence[str]) -> Callable[..., None]:
    """Wrap a command so that it raises the first error found while its settings were parsed."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        if errors:
            raise ValueError(errors[0])
        with raised_errors():
            command(*arguments, **options)

    return run


def app(errors: Sequence[str] = ()) -> SubcommandApp:
    """All commands; ``errors`` is filled while the arguments are parsed."""
    commands, data = SubcommandApp(), SubcommandApp()
    first, then = (
        (train, resume, eval_, probe, report),
        (predict, merge, show, explain, export, serve, bench, reproduce),
    )
    for command in list[Callable[..., None]]([*first, *then]):
        commands.command(name=command.__name__.rstrip("_"))(checked(command, errors))
    data.command(name="show")(checked(data_show, errors))
    data.command(name="check")(checked(data_check, errors))
    commands.command(data, name="data", help="Show or check a data set.")
    return commands


def main() -> None:
    """Entry point: bad input ends with one sentence and exit code 2."""
    # Threads that spin at a barrier stall the others on a busy machine; torch reads this when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_memory()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = sys.argv[1:]
    with hints.command(arguments):
        try:
            _run(arguments)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left, for example `| head`
        except KeyboardInterrupt:
            print(f"scapnet: stopped{CONTINUE.get(arguments[0], '') if arguments else ''}", file=sys.stderr)
            sys.exit(128 + signal.SIGINT)
        except Stopped as stopped:
            from scapnet.terminal.console import printable

            print(f"scapnet: {printable(stopped)}", file=sys.stderr)
            sys.exit(128 + stopped.number)
        except Exception as error:
            _explain(error)


def _run(arguments: Sequence[str]) -> None:
    errors: list[str] = []
    check_resume(arguments)
    with collected_errors(errors):
        app(errors).cli(
            prog="scapnet",
            description="Fine-grained image recognition that shows which parts told look-alike classes apart.",
            config=STYLE,
            args=with_new_flags(arguments),
        )


def _explain(error: Exception) -> None:
    """End with one sentence; an error that no user can have caused is raised again."""
    fault = machine_fault(error)
    if os.environ.get("SCAPNET_DEBUG") or (fault is None and not isinstance(error, ValueError | OSError)):
        raise error
    from scapnet.terminal.console import printable

    print(f"scapnet: {fault or printable(last_line(error))}", file=sys.stderr)
    sys.exit(2)
