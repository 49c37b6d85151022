"""Remote devices as job files describe them, and their addresses."""

import pytest

from profilers.address import read_address, show_address
from profilers.errors import DeviceRefused
from profilers.registry import make_device


@pytest.mark.parametrize(
    "section, message",
    [
        ({}, "device: address is missing, and there is no default"),
        ({"address": "pi5:7411"}, "exactly one of token_file and token_env must be given"),
        ({"address": "pi5:7411", "token_file": "a", "token_env": "b"}, "exactly one of token_file and token_env"),
        ({"address": "pi5", "token_env": "NAS_NO_TOKEN"}, "got 'pi5'.*'NAS_NO_TOKEN' is not set"),
        ({"address": 7411, "token_env": 3}, "HOST:PORT.*token_env must be text"),
        ({"address": "pi5:7411", "token_env": "HOME", "ca": "nowhere"}, "ca 'nowhere' is not a file"),
        ({"address": "pi5:7411", "token": "x" * 20}, "unknown key 'token'; known: kind, name, address, token_file"),
    ],
)
def test_bad_devices(section: dict[str, object], message: str) -> None:
    """What is wrong with a remote device is said before any work starts."""
    with pytest.raises(DeviceRefused, match=message):
        make_device({"kind": "remote", **section})


@pytest.mark.parametrize("text, address", [("pi5.local:1", ("pi5.local", 1)), ("[::1]:7411", ("::1", 7411))])
def test_addresses(text: str, address: tuple[str, int]) -> None:
    """Addresses are read and written alike."""
    assert read_address(text) == address
    assert show_address(*address) == text


@pytest.mark.parametrize("text", ["", "pi5", "pi5:", ":7411", "pi5:65536", "::1:7411", "http://pi5:80", "[pi5:1", None])
def test_bad_addresses(text: object) -> None:
    """What is no address is shown as it was given."""
    with pytest.raises(DeviceRefused, match="address must be HOST:PORT"):
        read_address(text)
