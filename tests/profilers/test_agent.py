"""The command that makes a machine a device."""

import subprocess
import sys
from pathlib import Path

import pytest

from profilers.agent import main


@pytest.mark.parametrize(
    "options, message",
    [
        ([], "one of the arguments --token-file --token-env is required"),
        (["--token-file", "nowhere"], "token_file 'nowhere' cannot be read: No such file"),
        (["--token-file", "open"], "token_file 'open' can be read by everybody (mode 0644); make it 0600"),
        (["--token-file", "short"], "a token has at least 16 printable ASCII characters"),
        (["--token-env", "NAS_NO_TOKEN"], "the environment variable 'NAS_NO_TOKEN' is not set"),
        (["--token-file", "token", "--serve", "pi5"], "address must be HOST:PORT"),
        (["--token-file", "token", "--threads", "5000"], "threads must be between 1 and"),
        (["--token-file", "token", "--tls-cert", "token"], "--tls-cert and --tls-key belong together"),
        (["--token-file", "token", "--tls-cert", "token", "--tls-key", "token"], "TLS cannot be had with token"),
        (["--token-file", "token", "--name", "a b"], "name must be 1 to 64 letters"),
        (["--token-file", "token", "--max-cpu-s", "0"], "cpu_s must be a positive number"),
    ],
)
def test_bad_options(
    token: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options, message
) -> None:
    """An agent that cannot serve as it is told does not start, and says why; a token is never optional."""
    monkeypatch.chdir(tmp_path)
    for name, mode, text in (("open", 0o644, "x" * 20), ("short", 0o600, "secret")):
        Path(name).write_text(text)
        Path(name).chmod(mode)
    with pytest.raises(SystemExit) as ended:
        main(["--name", "pi5", "--serve", "0.0.0.0:0", *options])
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert message in said.err
    assert "secret" not in said.err.replace("the secret", "")
    assert not said.out


def test_light_install() -> None:
    """An agent starts where only numpy, onnx, onnxruntime and psutil are installed."""
    script = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in "torch ray sqlalchemy pydantic typer yaml rich scipy sympy nas storage".split():
            raise ModuleNotFoundError(f"no module {name}")

sys.meta_path.insert(0, Missing())
from onnxruntime.quantization import quantize_static
from profilers.agent import main
main(["--help"])
"""
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert "--token-file" in said
