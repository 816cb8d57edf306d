"""The receiver of pushes: how many a second one core takes, opened, stored and answered.

The receiver runs in a process and on a core of its own, in front of the real envelope and the real
log of notices; what sends to it runs on the other core. The floor is the same server with nothing
behind it. A push that was answered with `success` and is not on the disk ends the benchmark.
"""

import asyncio
import json
import os
import re
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Final
from urllib.parse import urlsplit

import anyio
from aiohttp import web
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from fleetdeploy.baidu.envelope import PushKeys, sign
from fleetdeploy.baidu.events import PushReader, push_from
from fleetdeploy.model import Push
from fleetdeploy.receiver.limits import Address, ReceiverLimits
from fleetdeploy.receiver.results import Result
from fleetdeploy.receiver.server import serve_receiver
from fleetdeploy.storage.notice_log import SqliteNoticeLog
from tests.bench.table import Figure

RATE: Final = 500
"""Pushes a second that a receiver has to hold."""
CONNECTIONS: Final = 32
KEYS: Final = PushKeys("bench_token", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")
MAX_AGE_S: Final = 3600.0
TRIES: Final = 5
"""A push that a busy disk held up is sent again, as the platform does."""
ANSWER_MAX: Final = 4096
PERCENT: Final = 100
FLOOR_IS: Final = "the same server with nothing behind it"


LIMITS: Final = ReceiverLimits(per_second=1e6)
"""The bound on the rate would hide how many it could take."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Load:
    """What came of sending: seconds from when each push was due to its answer, and in all.

    `cpu_s` is what the receiver's process spent on them.
    """

    waits_s: Sequence[float]
    seconds: float
    cpu_s: float

    @property
    def per_second(self) -> float:
        return len(self.waits_s) / self.seconds

    @property
    def p99_ms(self) -> float:
        return quantiles(self.waits_s, n=PERCENT)[-1] * 1000


def receiver_figures(folder: Path, pushes: int) -> Iterator[Figure]:
    """Yield how a receiver holds `RATE` pushes a second, and how many it can take at most."""
    with pinned(last=True):
        steady = {
            kind: anyio.run(_measure, folder, kind, pushes, RATE) for kind in ("real", "bare")
        }
        most = {kind: anyio.run(_measure, folder, kind, pushes, None) for kind in ("real", "bare")}
    real, bare = steady["real"], steady["bare"]
    name = f"{pushes:,} pushes at {RATE} a second:"
    yield Figure(f"{name} rate", real.per_second, "/s", bare.per_second, FLOOR_IS)
    yield Figure(f"{name} 99th percentile", real.p99_ms, "ms", bare.p99_ms, FLOOR_IS)
    yield Figure(
        f"{name} CPU per push",
        real.cpu_s / pushes * 1000,
        "ms",
        bare.cpu_s / pushes * 1000,
        FLOOR_IS,
    )
    yield Figure(
        f"{pushes:,} pushes, {CONNECTIONS} at once: rate",
        most["real"].per_second,
        "/s",
        most["bare"].per_second,
        FLOOR_IS,
    )


@contextmanager
def pinned(*, last: bool) -> Iterator[None]:
    """Keep this process on one core, the first or the last, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores) if last else min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


async def _measure(folder: Path, kind: str, pushes: int, rate: float | None) -> Load:
    """Send so many pushes to a receiver of its own, and check that none of them is lost."""
    state_dir = folder / f"{kind}-{rate}"
    state_dir.mkdir(mode=0o700)
    bodies = [_sealed(number) for number in range(pushes)]
    command = [sys.executable, "-m", "tests.bench.receiver", kind, str(state_dir)]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        said = BufferedByteReceiveStream(process.stdout)
        url = (await said.receive_until(b"\n", ANSWER_MAX)).decode()
        began = time.perf_counter()
        waits_s = await _send_all(url, [_request(body) for body in bodies], rate)
        seconds = time.perf_counter() - began
        assert len(waits_s) == pushes
        cpu_s = await _stop(process, said)
    if kind == "real":
        await _check_stored(state_dir, pushes)
    return Load(waits_s, seconds, cpu_s)


async def _stop(process: Process, said: BufferedByteReceiveStream) -> float:
    """End a receiver's process; return the seconds of CPU that it spent since it listened."""
    assert process.stdin is not None
    await process.stdin.aclose()
    cpu_s = float(await said.receive_until(b"\n", ANSWER_MAX))
    assert await process.wait() == 0
    return cpu_s


async def _check_stored(state_dir: Path, pushes: int) -> None:
    with SqliteNoticeLog.open(state_dir, SystemClock()) as log:
        lost = [n for n in range(pushes) if not await log.knows(push_from(_message(n)).key)]
    assert lost == [], f"{len(lost)} pushes were answered with success and are not stored"


async def _send_all(url: str, requests: Sequence[bytes], rate: float | None) -> list[float]:
    """Send all, each when it is due, over a bounded number of kept connections."""
    began = time.perf_counter()
    left = iter(enumerate(requests))
    waits_s: list[float] = []

    async def work() -> None:
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        for nth, request in left:
            due = time.perf_counter() if rate is None else began + nth / rate
            await anyio.sleep(max(0.0, due - time.perf_counter()))
            for _ in range(TRIES):
                if await _ask(reader, writer, request):
                    waits_s.append(time.perf_counter() - due)
                    break
        writer.close()

    async with anyio.create_task_group() as group:
        for _ in range(CONNECTIONS):
            group.start_soon(work)
    return waits_s


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
    """Send one push; say whether it is on the disk, or has to be sent again."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    assert length is not None
    body = await reader.readexactly(int(length[1]))
    return head.startswith(b"HTTP/1.1 200 ") and body == b"success"


def _message(number: int) -> bytes:
    return json.dumps(
        {
            "appId": 100_000_282 + number % 300,
            "tpAppId": 17_328_232,
            "eventTime": "2026-11-25 12:45:10",
            "event": "PACKAGE_AUDIT_PASS",
            "packageId": 529_394 + number,
            "packageVersion": "10.30.0.3",
        }
    ).encode()


def _sealed(number: int) -> bytes:
    """Seal a message as the platform does (platform-api.md 4.1)."""
    message = _message(number)
    plain = number.to_bytes(16, "big") + len(message).to_bytes(4, "big") + message + b"17328232"
    pad = 32 - len(plain) % 32
    cipher = Cipher(AES256(KEYS.key), CBC(KEYS.key[:16])).encryptor()
    encrypt = b64encode(cipher.update(plain + bytes([pad]) * pad) + cipher.finalize()).decode()
    stamp, nonce = str(int(time.time())), str(number)
    signature = sign(KEYS.token, stamp, nonce, encrypt)
    return json.dumps(
        {"Nonce": nonce, "TimeStamp": stamp, "Encrypt": encrypt, "MsgSignature": signature}
    ).encode()


def _request(body: bytes) -> bytes:
    head = f"POST /push HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


# The other process


def _heard(_: Result) -> None: ...


async def _serve(kind: str, state_dir: Path) -> None:
    """Serve until the other side closes stdin; say where, and at the end what it cost."""
    if kind == "bare":
        await _serve_bare()
        return
    reader = PushReader(KEYS, MAX_AGE_S)
    with SqliteNoticeLog.open(state_dir, SystemClock()) as log:

        async def take(push: Push) -> None:
            await log.append([push])

        async with serve_receiver(
            reader.open, take, SystemClock(), Address(), _heard, LIMITS
        ) as receiver:
            await _until_told(receiver.url)


async def _serve_bare() -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(text="success")

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await _until_told(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await runner.cleanup()


async def _until_told(url: str) -> None:
    _say(url)
    began = time.process_time()
    await anyio.to_thread.run_sync(sys.stdin.read)
    _say(str(time.process_time() - began))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with pinned(last=False):
        anyio.run(_serve, sys.argv[1], Path(sys.argv[2]))
