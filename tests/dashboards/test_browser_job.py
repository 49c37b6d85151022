"""Jobs and commands with a browser as a device, as the README tells it."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import nas
from playwright.sync_api import Browser, expect
from typer.testing import CliRunner

from nas.cli.main import app
from profilers.errors import DeviceLost, ProfilingFailed
from profilers.limits import Limits
from profilers.remote_profiler import RemoteProfiler
from profilers.timing import TimingRule
from tests.browsers import Service, browser_service, end, join, start_service
from tests.nas.test_remote_device import SPACE
from tests.profilers import onnx_models
from tests.profilers.agents import token_file

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

BUDGET = 4


def job_file(folder: Path, service: Service) -> Path:
    """A job without training whose networks are measured here and in the browser of the README."""
    told = re.search(r"`phone: (\{kind: browser.*?\})`", README)
    assert told is not None
    phone = {**yaml.safe_load(told[1]), "address": service.address, "token_file": str(service.token)}
    job = {
        "name": "browser",
        "space": SPACE,
        "devices": {"cpu": {"kind": "host"}, "phone": phone},
        "objectives": ["latency_ms@cpu", "latency_ms@phone", "macs"],
        "strategy": {"name": "random"},
        "budget": {"evaluations": BUDGET},
        "execution": {"workers": 1, "batch": 2, "in_flight": 2},
        "measuring": {"max_runs": 60, "drift": 1, "replicate": 1},
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job))
    return path


def test_service_of_the_readme(tmp_path: Path, browser: Browser) -> None:
    """The command of the README serves, but for its ports, which may be taken."""
    (command,) = re.findall(r"^nas browser-agent serve (.*)$", README, re.MULTILINE)
    given = shlex.split(command)
    options = dict(zip(given[::2], given[1::2], strict=True))
    assert options.keys() == {"--page", "--serve", "--token-file"}
    service = start_service(token_file(tmp_path), page=re.sub(r"\d+$", "0", options["--page"]))
    try:
        with browser.new_context() as context:
            join(context, service, "phone")
            model = tmp_path / "model.onnx"
            model.write_bytes(onnx_models.conv_net(layers=1, size=8))
            asked = ["profile", str(model), "--device", f"{job_file(tmp_path, service)}:phone", "--json"]
            ran = CliRunner().invoke(app, asked)
            assert ran.exit_code == 0, ran.output
            seen = json.loads(ran.stdout)
            assert (seen["device"], seen["runs"] >= 50, seen["median_ms"] > 0) == ("phone", True, True)
    finally:
        end(service)


def listed(store: str, *command: str) -> list[dict[str, Any]]:
    """What a command lists of a store."""
    ran = CliRunner().invoke(app, [*command, "--store", store, "--json"])
    assert ran.exit_code == 0, ran.output
    rows: list[dict[str, Any]] = json.loads(ran.stdout)
    return rows


@pytest.mark.slow
def test_job_with_two_devices(tmp_path: Path, browser: Browser) -> None:
    """The tab is killed in the middle and opened again: the job ends complete, with a front over both latencies."""
    store = f"sqlite:///{tmp_path}/nas.db"
    with browser_service(tmp_path) as service, browser.new_context() as context:
        page = join(context, service, "phone")
        job = nas(tmp_path, "run", str(job_file(tmp_path, service)))
        expect(page.locator("#measured")).not_to_have_text("0", timeout=240_000)
        page.close()
        again = context.new_page()
        again.goto(service.page)
        _, said = job.communicate()
        assert job.returncode == 0, said
        measured = int(again.locator("#measured").inner_text())
    assert measured > 0, "the tab was closed too late"
    ran = CliRunner().invoke(app, ["show", "latest", "--store", store, "--json"])
    rows = json.loads(ran.stdout)["evaluations"]
    assert len({row["key"] for row in rows}) == len(rows) == BUDGET
    assert all(row["error"] is None and row["latency_ms@cpu"] > 0 and row["latency_ms@phone"] > 0 for row in rows)
    assert {"latency_ms@cpu", "latency_ms@phone"} <= set(listed(store, "pareto", "latest")[0])
    assert {row["kind"] for row in listed(store, "devices")} == {"host", "browser"}


@pytest.mark.slow
def test_https(tmp_path: Path, browser: Browser) -> None:
    """With a certificate the page is isolated under any name, browsers and jobs are encrypted, and threads work."""
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=phone.test"]
    names = ["-addext", "subjectAltName=DNS:phone.test,IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*made, *names], cwd=tmp_path, check=True, capture_output=True)
    certificate = str(tmp_path / "cert.pem")
    options = ("--tls-cert", certificate, "--tls-key", str(tmp_path / "key.pem"), "--max-wall-s", "5")
    with (
        browser_service(tmp_path, "--host", "phone.test", *options) as service,
        browser.new_context(ignore_https_errors=True) as context,
    ):
        assert service.page.startswith("https://")
        page = join(context, service, "phone", page=service.page.replace("127.0.0.1", "phone.test"))
        assert page.evaluate("self.crossOriginIsolated") is True
        device = service.device("phone", threads=2, ca=certificate)
        with RemoteProfiler(TimingRule(min_runs=30, max_runs=30), Limits(wall_s=60)) as profiler:
            assert profiler.profile(onnx_models.conv_net(layers=1), device).runs == 30
            with pytest.raises(ProfilingFailed, match="did not end within 5 s"):  # of two limits the smaller one holds
                profiler.profile(onnx_models.endless_loop(), device)
        with pytest.raises(DeviceLost, match="speaks TLS alone; give its certificate"):
            _ = service.device("phone").description
