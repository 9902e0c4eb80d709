"""``dgc plugins``: what this environment has of routing algorithms and stores, and whether each can be used."""

import sys

import click


@click.command("plugins")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to write the answer.",
)
def plugins(output: str) -> None:
    """Lists routing algorithms and stores that are installed here; exit code 1 where one cannot be used.

    Packages add them by entry points; docs/plugins.md says how one is written.
    """
    from controller.plugins import KINDS
    from digitalgrid.plugins.table import PluginError, clash, installed

    rows = []
    for kind in KINDS:
        table = installed(kind)
        for plugin in table:
            wrong = clash(plugin, table)
            if not wrong:
                try:
                    plugin.load()
                except PluginError as error:
                    wrong = str(error)
            package = f"{plugin.package} {plugin.package_version}"
            rows.append((kind.name, plugin.name, package, plugin.entry.value, wrong))
    _show(rows, output)
    if any(wrong for *_, wrong in rows):
        sys.exit(1)


def _show(rows: list[tuple[str, str, str, str, str]], output: str) -> None:
    if output == "json":
        import msgspec

        names = ("kind", "name", "package", "entry_point", "wrong")
        for row in rows:
            sys.stdout.buffer.write(msgspec.json.encode(dict(zip(names, row, strict=True))) + b"\n")
        return
    from digitalgrid.columns import Columns, parts_text

    table = Columns("kind", "name", "package", "entry point", "state")
    for *cells, wrong in rows:
        table.add_row(*cells, wrong or "fine", style="red" if wrong else "")
    sys.stdout.write(parts_text([table], sys.stdout))
