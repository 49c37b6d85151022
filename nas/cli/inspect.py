"""`nas inspect`: what an ONNX file is, without running it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.failure import bad_input, stop
from nas.cli.options import AsJson
from nas.cli.output import messages, print_json, print_table
from profilers.limits import Limits

SHOWN_NODES = 5


def inspect(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="An ONNX file, from here or anywhere.")],
    nodes: Annotated[bool, typer.Option("--nodes", help="List every node.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the shapes, costs and operators of an ONNX file."""
    from search_spaces.interchange.onnx_reader import read_model
    from search_spaces.summary import summarise

    with bad_input():
        limit = Limits().model_bytes
        if model.stat().st_size > limit:
            raise ValueError(f"{model} has {model.stat().st_size} bytes; allowed: at most {limit}")
        content = model.read_bytes()
    try:
        summary = summarise(read_model(content))
    except ValueError as error:
        raise stop(f"{model}: {error}", 2) from error
    if as_json:
        print_json({"id": str(model), "bytes": len(content), **summary})
        return
    for what in ("inputs", "outputs"):
        for value in summary[what]:
            print(f"{what[:-1]:22} {value['name']}: {value['dtype']} {_shape(value['shape'])}")
    for metric, cost in summary["costs"].items():
        print(f"{metric:22} {cost:,}")
    if nodes:
        rows = [
            {**node, "inputs": _shapes(node["inputs"]), "outputs": _shapes(node["outputs"])}
            for node in summary["nodes"]
        ]
        print_table(rows)
    else:
        print_table(summary["operators"])
    for op, names in summary["unknown"].items():
        more = f" and {len(names) - SHOWN_NODES} more" if len(names) > SHOWN_NODES else ""
        messages.print(
            f"operator {op} is not in the vocabulary: its multiply-adds count as 0 and torch cannot run the graph; "
            f"used by {', '.join(names[:SHOWN_NODES])}{more}",
            markup=False,
        )


def _shape(sizes: list[int]) -> str:
    """Sizes as a reader writes them, the batch as N."""
    return " x ".join(["N", *map(str, sizes[1:])]) if sizes else "scalar"


def _shapes(shapes: list[list[int]]) -> Any:
    return ", ".join("x".join(map(str, sizes)) or "scalar" for sizes in shapes)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(inspect)
