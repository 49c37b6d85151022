"""What an agent and its clients say to each other, in frames.

A connection begins with both sides proving that they know the token:

    -> {"version", "nonce", "device"}                  which device, where an agent has several
    <- {"nonce"}, or denied
    -> {"proof"}
    <- {"event": "welcome", "proof", "description"}, or {"event": "denied", "message"},
       or {"event": "away", "message"}                 the device is not there now, but may come back

Then the client asks, as often as it likes:

    -> {"ask": "measure", "id", "model_bytes", "rule", "limits", "dimensions"}
    <- {"event": "queued"}, {"event": "running"}       every few seconds, so that a lost network shows
    <- {"event": "send"}                               it is our turn: the model, please
    -> {"event": "model"}                              with the model as payload
    <- measured, refused or failed, see `profilers.answer`
    -> {"ask": "cancel", "id"}
    <- {"event": "cancelled"}

The model is sent when the device is free, so that no transfer disturbs a timing. An `id` is measured once: who asks
again after a lost connection gets what came, or comes, of the first time.
"""

VERSION = 2

HANDSHAKE_S = 10.0
"""Seconds that the other side may take for each step of the beginning."""

HANDSHAKE_BYTES = 4096
"""Largest header before a client has proved who it is."""

HEARTBEAT_S = 2.0
"""Seconds between two signs of life while a client waits."""

SILENCE_S = 15.0
"""Seconds without a sign of life after which the connection counts as lost."""

ID_PATTERN = r"[0-9a-f]{32}"


def transfer_s(model_bytes: int) -> float:
    """Seconds that a model may take on its way: a slow wireless network is allowed."""
    return 30.0 + model_bytes / 500_000
