"""`perfusion belt`: move a treadmill that the configuration lets the service control."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from acquisition.cli.desk import directory, operator
from acquisition.cli.numbers import Finite
from acquisition.config import toml
from acquisition.config.tables import Record
from acquisition.control_socket.client import NoDaemon, Unanswered, ask
from acquisition.errors import ConfigurationError, PerfusionError
from acquisition.treadmill.dispatcher import RED_BUTTON, STOPS

ORDERS = ("prepare", "confirm", "speed", "grade", "measured", "stop", "emergency", "release")
VALUED = ("speed", "grade", "measured")
UNKNOWN = "it is not known that anything reached the treadmill"


@click.command()
@click.argument("order", type=click.Choice([*ORDERS, "walk"]))
@click.argument("value", required=False)
@click.option("--device", help="Which treadmill, where several are controlled.")
@click.option("--max-grade", type=Finite(min=0, min_open=True), help="Of a walk, %.")
@click.option("--limit", type=Finite(min=0, min_open=True), help="Of a walk, s.")
@click.option("--by", help="Who orders it, and why (default: this account).")
@click.option("--data", type=click.Path(path_type=Path), envvar="PERFUSION_DATA", help="The folder of the record.")
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), help="The bench, as TOML.")
def belt(
    order: str,
    value: str | None,
    device: str | None,
    max_grade: float | None,
    limit: float | None,
    by: str | None,
    data: Path | None,
    path: Path | None,
) -> int:
    """Order something of a treadmill; the red button at the treadmill stays its emergency stop.

    A stop or an emergency without --device stops every treadmill under control.

    \b
    walk PROTOCOL    prepare a walk such as walk-gs; confirm starts it
    prepare          stop the belt, set least speed and grade, and wait
    confirm          the patient is ready: start the belt
    speed KMH        set the speed        grade PERCENT   set the grade
    measured KMH     compare a speed measured on the belt with the reported one
    stop             stop the belt        emergency       stop it at once and latch
    release          allow a start again after an emergency stop
    """  # noqa: D301
    request: dict[str, Any] = {"device": device, "by": _whoever(by) if order in STOPS else operator(by)}
    if order == "walk":
        if value is None:
            raise click.UsageError("name a protocol, such as walk-gs")
        request |= {"do": "walk", "protocol": value, "max_grade": max_grade, "limit": limit}
    else:
        request |= {"do": "order", "order": order, "value": _number(order, value)}
    if order in STOPS:
        answer = _stop(path, data, request)
        click.echo(f"{answer['device']}: {order} sent; see that the belt stands")
        return 0
    answer = ask(directory(path, data), request)
    click.echo(f"{answer['device']}: {answer.get('protocol') or order} ordered")
    return 0


def _stop(path: Path | None, data: Path | None, request: Mapping[str, Any]) -> Any:
    """Have belts stopped; whatever keeps that from them, the error names the red button."""
    try:
        answer = ask(_record(path, data), dict(request))
        if not answer["sent"] or answer["order"] != request["order"]:
            raise Unanswered("the daemon does not say that it was sent", str(_record(path, data)))
        return answer
    except PerfusionError as error:
        told = not isinstance(error, NoDaemon | Unanswered)
        cause = "; ".join(filter(None, (error.cause, "" if told else UNKNOWN)))
        remedy = error.remedy if RED_BUTTON in error.remedy else "; ".join(filter(None, (RED_BUTTON, error.remedy)))
        raise type(error)(error.what, error.where, cause, remedy) from error


def _whoever(by: str | None) -> str:
    """Who orders a stop, which does not wait for a name."""
    try:
        return operator(by)
    except click.UsageError:
        return "an account without a name"


def _record(path: Path | None, data: Path | None) -> Path:
    """The folder of the record, also where something else in the configuration is wrong: a stop waits for nothing."""
    try:
        return directory(path, data)
    except ConfigurationError:
        if path is None:
            raise
        store = toml.read(path.absolute()).get("store", {})
        return path.absolute().parent / Path(str(store.get("path", Record().path))).expanduser()


def _number(order: str, value: str | None) -> float | None:
    if (value is not None) != (order in VALUED):
        raise click.UsageError(f"{order} takes {'one number' if order in VALUED else 'no value'}")
    try:
        return None if value is None else float(value)
    except ValueError:
        raise click.UsageError(f"{value!r} is no number") from None
