"""axe-core, which finds what shuts people out of a page; `python tests/axe.py` fetches it, as `make test` does.

It is kept in the user's cache, like the runtime of the browser agent, and is not part of this project.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from dashboards import npm_package

PACKAGE, VERSION = "axe-core", "4.10.3"
INTEGRITY = "sha512-Xm7bpRXnDSX2YE2YFfBk2FnF0ep6tmG7xPh8iHee8MIcrgq762Nkce856dYtJYLkuIoYZvGfTs/PbZhideTcEg=="
FILE = "axe.min.js"


def serious(page: Page) -> list[str]:
    """What is wrong with a page and serious or critical, a line each.

    The script runs in a world of its own, so that the policy of the page holds for the page alone.
    """
    file = npm_package.folder(PACKAGE, VERSION) / FILE
    if not file.is_file():
        pytest.fail(f"{file} is missing; fetch it with `python tests/axe.py` (`make test` does)")
    session = page.context.new_cdp_session(page)
    frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
    world = session.send("Page.createIsolatedWorld", {"frameId": frame})["executionContextId"]
    _run(session, world, file.read_text() + "; 0")
    found = _run(session, world, "axe.run().then((told) => JSON.stringify(told.violations))")
    session.detach()
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in json.loads(found)
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def _run(session: Any, world: int, script: str) -> Any:
    told = session.send(
        "Runtime.evaluate",
        {"expression": script, "contextId": world, "awaitPromise": True, "returnByValue": True},
    )
    assert "exceptionDetails" not in told, told["exceptionDetails"]
    return told["result"].get("value")


def install(archive: Path | None = None) -> None:
    """Fetch it with npm, and check that it is the one that is expected."""
    place = npm_package.folder(PACKAGE, VERSION)
    npm_package.install(PACKAGE, VERSION, INTEGRITY, {FILE: f"package/{FILE}"}, place, archive)


if __name__ == "__main__":
    install()
