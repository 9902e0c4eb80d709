"""``dgr``: the command line of a software digital grid router."""

import sys
from typing import TYPE_CHECKING

import click

from digitalgrid.command_line import AddressType, Program
from digitalgrid.logs import LogFormat, log_to_standard_error

if TYPE_CHECKING:
    from router_agent.config import RouterConfig


def main() -> None:
    """The command line."""
    dgr()


@click.group("dgr", cls=Program)
def dgr() -> None:
    """A software digital grid router."""


@dgr.command()
@click.argument("config", type=click.Path(dir_okay=False))
@click.option("-v", "--verbose", is_flag=True, help="Also log what is dropped and why.")
@click.option(
    "--log-format",
    type=click.Choice([each.value for each in LogFormat]),
    default=LogFormat.AUTO.value,
    show_default=True,
    help="Lines for people (text), or an object of JSON a line; auto: text on a terminal, else JSON.",
)
@click.option(
    "--metrics",
    type=AddressType(),
    metavar="HOST:PORT",
    help="Where Prometheus reads /metrics, in place of metrics.listen of CONFIG.",
)
@click.option(
    "--trace",
    type=AddressType(),
    metavar="HOST:PORT",
    help="Where spans of traced orders go (OTLP over gRPC), in place of tracing.endpoint of CONFIG.",
)
def run(
    config: str, verbose: bool, log_format: str, metrics: str | None, trace: str | None
) -> None:
    """Run the router that the file CONFIG describes, until SIGTERM."""
    import logging
    from dataclasses import replace

    from digitalgrid.metrics.config import MetricsConfig
    from digitalgrid.tracing.config import TracingConfig
    from router_agent.run import run_router

    checked = _checked(config)
    if metrics is not None:
        checked = replace(checked, metrics=MetricsConfig(metrics))
    if trace is not None:
        checked = replace(checked, tracing=TracingConfig(trace))
    log_to_standard_error(log_format=LogFormat(log_format), always={"router_id": checked.router_id})
    if verbose:
        logging.getLogger("router_agent").setLevel(logging.DEBUG)
    sys.exit(run_router(checked))


@dgr.command("check-config")
@click.argument("config", type=click.Path(dir_okay=False))
def check_config(config: str) -> None:
    """Say whether the file CONFIG describes a router."""
    checked = _checked(config)
    click.echo(f"{config}: router {checked.router_id}, {len(checked.links)} links: fine")


def _checked(path: str) -> "RouterConfig":
    # Here, so that help needs neither YAML nor numbers.
    from router_agent.config import load_config

    return load_config(path)


if __name__ == "__main__":
    main()
