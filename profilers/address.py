"""Where an agent serves: `HOST:PORT`."""

from profilers.errors import DeviceRefused


def read_address(text: object) -> tuple[str, int]:
    """Read an address, such as `pi5.local:7411`, `192.168.1.5:7411` or `[::1]:7411`.

    Raises:
        DeviceRefused: it is none.
    """
    host, colon, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    plain = bare and (":" not in bare or bare != host) and not any(letter in bare for letter in "/@[] ")
    if not (plain and colon and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise DeviceRefused([f"address must be HOST:PORT, such as 192.168.1.5:7411 or [::1]:7411 (got {text!r:.80})"])
    return bare, int(port)


def show_address(host: str, port: int) -> str:
    """Write an address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
