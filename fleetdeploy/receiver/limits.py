"""Where the receiver listens, and what it puts up with. Checks nothing itself."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Address:
    """Port 0 takes a free one. A host that is not loopback is allowed; say so to whoever asked."""

    host: str = "127.0.0.1"
    port: int = 0


@dataclass(frozen=True, slots=True)
class ReceiverLimits:
    """Bounds of everything that a stranger could make large or slow."""

    body_bytes: int = 64 * 1024
    """The platform's own code refuses messages over 65,535 bytes; real ones have below 1 KB."""
    per_second: float = 1000.0
    """Pushes; a second's worth may come at once. 300 apps in an audit make a few a minute."""
    at_once: int = 1000
    """Pushes being read or stored."""
    connections: int = 500
    """Half of the 1,024 open files that a process commonly may have."""
    answer_within_s: float = 0.9
    """From the last byte of the push: the platform wants its answer within a second."""
    head_within_s: float = 5.0
    body_within_s: float = 5.0
    idle_s: float = 75.0
    """Longer than the 60 s for which common proxies keep a connection: they close first, and a
    push seldom meets a connection that has just been closed."""
    stop_within_s: float = 1.0
    """For requests under way, and once more for what they left to be stored."""


DEFAULT_LIMITS: Final = ReceiverLimits()
