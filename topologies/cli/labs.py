"""Verbs about labs at rest: labs, validate, graph."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from testbed import client, labsocket
from topologies.cli import rundirs
from topologies.cli.drawing import Drawing, as_dot, as_svg, as_text
from topologies.cli.errors import Failure, Mistake
from topologies.cli.options import (
    configure,
    format_flag,
    gather,
    lab_flag,
    lab_options,
    load_lab,
    one_lab,
    print_json,
    screen,
)

if TYPE_CHECKING:
    from topologies.lab import Lab


@click.command()
@format_flag
def labs(form: str) -> None:
    """List the labs that come with roamlab, and which of them run."""
    from topologies import catalog

    running = {name.lab for name in labsocket.running()}
    found = [catalog.load(name) for name in catalog.names()]
    if form == "json":
        print_json([{**_facts(lab), "running": lab.name in running} for lab in found])
        return
    table = Table("lab", "what it shows", "options", "state")
    for lab in found:
        options = "\n".join(_option_line(each) for each in _facts(lab)["options"])
        table.add_row(lab.name, lab.summary, options, "running" if lab.name in running else "")
    screen().print(table)


@click.command()
@click.argument("lab", required=False)
@lab_flag
@lab_options
def validate(
    lab: str | None,
    topology: str | None,
    mode: str | None,
    tunnel: str | None,
    ra_profile: str | None,
    pairs: tuple[str, ...],
) -> None:
    """Check a lab and its options without starting anything."""
    wanted = load_lab(one_lab(lab, topology))
    values, options = configure(wanted, gather(pairs, mode=mode, tunnel=tunnel, ra_profile=ra_profile))
    drawing = _of_lab(wanted, options)
    chosen = ", ".join(f"{key}={value}" for key, value in values.items()) or "defaults"
    click.echo(f"{wanted.name} is valid: {len(drawing.roles)} nodes, {len(drawing.links)} links, options: {chosen}")


@click.command()
@click.argument("lab", required=False)
@lab_flag
@lab_options
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write FILE.svg or FILE.dot.")
def graph(
    lab: str | None,
    topology: str | None,
    mode: str | None,
    tunnel: str | None,
    ra_profile: str | None,
    pairs: tuple[str, ...],
    output: Path | None,
) -> None:
    """Draw the topology of a lab, a running lab or a run directory: text here, SVG or dot with -o."""
    settings = gather(pairs, mode=mode, tunnel=tunnel, ra_profile=ra_profile)
    name = lab or topology
    if name is None and labsocket.running():
        name = client.find(None).lab
    drawing = _drawing(one_lab(name, None), settings)
    if output is None:
        click.echo(as_text(drawing))
        return
    formats = {".svg": as_svg, ".dot": as_dot, ".gv": as_dot}
    if output.suffix not in formats:
        raise Mistake(f"{output}: name a file that ends in .svg or .dot")
    output.write_text(formats[output.suffix](drawing), encoding="utf-8")
    click.echo(str(output))


def _drawing(name: str, settings: dict[str, str]) -> Drawing:
    if (Path(name) / "lab.json").is_file():
        return _of_run(rundirs.load(Path(name)))
    if not settings and name in [each.lab for each in labsocket.running()]:
        return _of_run(client.request(client.find(name), "inspect")["state"])
    wanted = load_lab(name)
    return _of_lab(wanted, configure(wanted, settings)[1])


def _of_run(facts: dict[str, Any]) -> Drawing:
    """From lab.json, or from what a running lab says of itself."""
    try:
        return Drawing(
            title=f"{facts['lab']}: {facts['title']}",
            roles={name: node.get("role") or "" for name, node in facts["nodes"].items()},
            links=tuple((tuple(link["a"]), tuple(link["b"])) for link in facts["links"]),
            notes={
                name: " ".join(
                    address
                    for interface in node.get("interfaces", {}).values()
                    for address in interface.get("addresses", [])
                    if not address.lower().startswith("fe80")
                )
                for name, node in facts["nodes"].items()
            },
        )
    except KeyError as error:
        raise Failure(f"the run's facts lack {error}") from error


def _of_lab(lab: Lab, options: Any) -> Drawing:
    from testbed.network import Network

    facts = Network(lab.topo(options), source=lab.file).describe()
    return _of_run({"lab": lab.name, "title": lab.title, **facts})


def _facts(lab: Lab) -> dict[str, Any]:
    return {
        "lab": lab.name,
        "title": lab.title,
        "summary": lab.summary,
        "options": [
            {
                "name": option.name,
                "default": None if option.default is dataclasses.MISSING else option.default,
                "choices": list(option.metadata.get("choices", ())),
                "help": option.metadata.get("help", ""),
            }
            for option in dataclasses.fields(lab.options)
        ],
    }


def _option_line(option: dict[str, Any]) -> str:
    values = "|".join(str(choice) for choice in option["choices"])
    return f"{option['name']}={values or option['default']}"


COMMANDS = (labs, validate, graph)
