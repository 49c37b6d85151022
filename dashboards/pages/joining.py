"""Where browsers join as devices, to be read and to be photographed."""

from urllib.parse import urlsplit

import segno
from markupsafe import Markup

_CODE = "code="


class Joining:
    """The address of the page of a `nas browser-agent serve`, with its join code.

    Args:
        address: as that command prints it, such as `https://laptop:7412/#code=ABCD-EFGH`.

    Attributes:
        address: the same.
        code: what is typed there.

    Raises:
        ValueError: it is no such address.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.fragment.startswith(_CODE):
            expected = "an address as `nas browser-agent serve` prints it, such as https://laptop:7412/#code=ABCD-EFGH"
            raise ValueError(f"--join must be {expected} (got {address!r:.200})")
        self.address, self.code = address, parts.fragment.removeprefix(_CODE)

    @property
    def picture(self) -> Markup:
        """The address as a QR code (ISO/IEC 18004) in SVG, dark on light in any theme."""
        code = segno.make(self.address, error="m", micro=False)
        # What segno draws holds nothing of the address but its modules.
        return Markup(code.svg_inline(scale=4, border=4, dark="#000", light="#fff", title=None, svgclass="qr"))  # noqa: S704
