"""Who is at the other end of a connection: certificates, and names that must mean this machine.

Carries nothing itself. Which addresses may be called at all is in `core/addresses.py`.
"""

import errno
import socket
import ssl
from typing import Final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from fleetdeploy.core.addresses import is_loopback

PROTOCOLS: Final = ("http/1.1",)


def verifying() -> ssl.SSLContext:
    """Return what checks a server's certificate and name against the authorities of this machine.

    Put together here because the standard library's ready-made one writes the keys of every
    connection into the file that `SSLKEYLOGFILE` names, and tokens ride in those connections.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks both unless told otherwise
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    context.set_alpn_protocols(PROTOCOLS)
    return context


class LoopbackResolver(AbstractResolver):
    """Resolves names for plain HTTP, which this machine alone may hear.

    `localhost` is a name like any other to a resolver: where no hosts file has it, a name server
    may answer for it with whatever address it likes. Raises `OSError` for one that is elsewhere.
    """

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if all(is_loopback(one["host"]) for one in found):
            return found
        raise OSError(errno.EADDRNOTAVAIL, "the name does not lead to this machine")

    async def close(self) -> None:
        await self._resolver.close()
