"""Who is at the other end: real certificates over real sockets, and names that lead elsewhere."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, AddressFamily

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fleetdeploy.baidu.http import HttpTransport
from fleetdeploy.baidu.peer import LoopbackResolver, verifying
from fleetdeploy.errors import NotSent
from fleetdeploy.transport import Request

TOKEN = "45.secret-that-must-not-be-seen.3600.1577808000.x"
CHANGE = Request("POST", "/change", {"access_token": TOKEN}, {"package_id": "58210"})
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + b'{"errno":0}'
DAY = timedelta(days=1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Authority:
    """Somebody who vouches for servers; whoever names `path` in `SSL_CERT_FILE` believes it."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    name: x509.Name = field(
        default_factory=lambda: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    )

    @property
    def path(self) -> Path:
        certificate = self._builder(self.name, self.key, DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        path = self.folder / "authority.pem"
        path.write_bytes(self._signed(certificate))
        return path

    def vouch(self, host: str, *, ends: timedelta = DAY) -> ssl.SSLContext:
        """Return what a server needs that claims to be `host`."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
        claimed = x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))])
        path = self.folder / f"server-{host}.pem"
        path.write_bytes(
            self._signed(self._builder(name, key, ends).add_extension(claimed, critical=False))
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, ends: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * DAY)
            .not_valid_after(now + ends)
        )

    def _signed(self, builder: x509.CertificateBuilder) -> bytes:
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)


@dataclass
class Server:
    """Keeps what came through its TLS, and answers one request."""

    came: list[bytes] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ANSWER)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()


async def send_to(url: str) -> int:
    async with HttpTransport(url) as transport:
        return (await transport.send(CHANGE)).status


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Return an authority that this machine believes."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    return authority


@pytest.mark.anyio
async def test_a_server_that_an_authority_vouches_for_is_asked(authority: Authority) -> None:
    async with serving(authority.vouch("127.0.0.1")) as server:
        assert await send_to(server.url) == 200
    assert TOKEN.encode() in server.came[0]


@pytest.mark.anyio
@pytest.mark.parametrize("why", ["stranger", "name", "expired"])
async def test_a_certificate_that_is_not_valid_gets_not_a_byte(
    authority: Authority, tmp_path: Path, why: str
) -> None:
    (tmp_path / "other").mkdir()
    context = {
        "stranger": lambda: Authority(tmp_path / "other").vouch("127.0.0.1"),
        "name": lambda: authority.vouch("127.0.0.2"),
        "expired": lambda: authority.vouch("127.0.0.1", ends=-DAY),
    }[why]()
    async with serving(context) as server:
        with pytest.raises(NotSent, match="certificate is not valid"):
            await send_to(server.url)
    assert server.came == []


@pytest.mark.anyio
async def test_the_keys_of_a_connection_are_written_nowhere(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With them whoever recorded the connection could read the tokens in it."""
    keys = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    async with serving(authority.vouch("127.0.0.1")) as server:
        assert await send_to(server.url) == 200
    assert not keys.exists()


def test_checking_is_on_and_old_protocols_are_off() -> None:
    context = verifying()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


class Resolver(AbstractResolver):
    """A name server that says what it likes."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._addresses
        ]

    async def close(self) -> None: ...


@pytest.mark.anyio
async def test_a_name_for_plain_http_leads_to_this_machine_or_nowhere() -> None:
    found = await LoopbackResolver(Resolver("127.0.0.1", "::1")).resolve("localhost", 80)
    assert [one["host"] for one in found] == ["127.0.0.1", "::1"]
    for answers in (["192.0.2.1"], ["127.0.0.1", "192.0.2.1"], ["0.0.0.0"]):  # noqa: S104
        with pytest.raises(OSError, match="does not lead to this machine"):
            await LoopbackResolver(Resolver(*answers)).resolve("localhost", 80)


@pytest.mark.anyio
async def test_plain_http_asks_this_resolver_and_a_certificate_needs_none() -> None:
    async with HttpTransport("http://localhost:1") as plain:
        assert isinstance(resolver_of(plain), LoopbackResolver)
        with pytest.raises(NotSent):
            await plain.send(CHANGE)
    async with HttpTransport("https://localhost:1") as checked:
        assert not isinstance(resolver_of(checked), LoopbackResolver)


def resolver_of(transport: HttpTransport) -> AbstractResolver:
    assert transport._session is not None
    connector = transport._session.connector
    assert isinstance(connector, aiohttp.TCPConnector)
    return connector._resolver
