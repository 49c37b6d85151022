"""Pages from templates, and what every page carries."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Nothing but our own files, and no code or style within a page."""

NAVIGATION = (("/", "Jobs"), ("/compare", "Compare"), ("/devices", "Devices"), ("/predictors", "Predictors"))


STATIC = Path(__file__).parent / "static"
THEME = Path(__file__).parents[1] / "theme.css"
TEMPLATES = Path(__file__).parent / "templates"

IMPORT = re.compile(r'^import (.*) from "\./([a-z_]+\.js)";$', re.MULTILINE)
"""A line of a module: what it imports, and from where."""


def modules(name: str, folder: Path = STATIC) -> list[str]:
    """The modules that a script imports, those that they import, and so on: a browser can fetch all at once."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        for _, other in IMPORT.findall((folder / waiting.pop()).read_text()):
            if other not in found:
                found.append(other)
                waiting.append(other)
    return found


class Pages:
    """Makes pages of the templates beside this file; whatever is put into them is escaped."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["modules"] = cache(modules)

    def __call__(self, template: str, request: Request, reader: Any, status: int = 200, **values: Any) -> HTMLResponse:
        """A page.

        Args:
            template: name of its file.
            request: that it answers.
            reader: who looks at it; None where nobody has to be known.
            status: of the answer.
            values: what the template shows.
        """
        page = self._templates.get_template(template)
        text = page.render(reader=reader, path=request.url.path, navigation=NAVIGATION, **values)
        return HTMLResponse(text, status, HEADERS)
