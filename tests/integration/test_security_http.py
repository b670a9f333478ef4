"""A running worker's HTTP endpoints: on loopback by default, and no client blocks the loop or exhausts the process."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.kafka.client import NewRecord
from tests.support.brokers import Programs, TestBroker, wait_until
from tests.support.events import event_bytes
from tests.support.transport_contract import PATIENCE_S
from tests.support.worker_site import WorkerSite, worker_site
from worker.operations.http_server import THREADS_MAX

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, and connects to 127.0.0.2")

# Linux answers at all of 127.0.0.0/8: an address of this machine that is not the one that the worker binds to.
OTHER_ADDRESS = "127.0.0.2"


@pytest.fixture
def site(broker: TestBroker, programs: Programs, tmp_path: Path) -> WorkerSite:
    made = worker_site(programs, broker.bootstrap_servers, broker.fresh_name("http"), tmp_path)
    made.create_topics(1)
    made.publish_model()
    return made


def connects(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=5):
            return True
    except OSError:
        return False


def test_it_listens_on_loopback_only_by_default(site: WorkerSite) -> None:
    worker = site.start_ready()
    assert not connects(OTHER_ADDRESS, site.http_port)
    assert worker.stop() == 0
    worker = site.start_ready(WORKER_HTTP_HOST="0.0.0.0")  # noqa: S104  # what is tested
    assert connects(OTHER_ADDRESS, site.http_port)
    assert worker.stop() == 0


def slow(client: socket.socket) -> None:
    client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")


def silent(client: socket.socket) -> None:
    pass


def malformed(client: socket.socket) -> None:
    client.sendall(b"\x16\x03\x01\x00\xff\r\n\r\nGET / HTTP/9.9\r\n\r\n")


def huge_header(client: socket.socket) -> None:
    client.sendall(b"GET /livez HTTP/1.1\r\n" + b"X: y" * 1_000_000 + b"\r\n\r\n")


def many_headers(client: socket.socket) -> None:
    client.sendall(b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n")


def never_reading(client: socket.socket) -> None:
    client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n" * 10_000)


@contextmanager
def crowd(port: int, behave: Callable[[socket.socket], None]) -> Iterator[None]:
    """Clients of this kind, a hundred when the block begins, that stay and are joined by others while it runs."""
    there, over = threading.Event(), threading.Event()

    def come() -> None:
        held: list[socket.socket] = []
        while not over.is_set():
            with contextlib.suppress(OSError):
                client = socket.create_connection(("127.0.0.1", port), timeout=1)
                held.append(client)
                behave(client)
            if len(held) >= 100:
                there.set()
                held.pop(0).close()
                over.wait(0.01)
        for client in held:
            client.close()

    thread = threading.Thread(target=come)
    thread.start()
    try:
        assert there.wait(PATIENCE_S)
        yield
    finally:
        over.set()
        thread.join()


def of_process(pid: int, field: str) -> int:
    """A figure that the system keeps of a process: Threads, or VmRSS in kB."""
    (found,) = re.findall(rf"^{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found)


def test_no_kind_of_client_holds_up_the_worker_or_makes_it_grow(site: WorkerSite) -> None:
    worker = site.start_ready()
    events = [NewRecord(b"user", event_bytes(id=str(number))) for number in range(20)]
    site.send(events)
    site.wait_for_outcomes(len(events))
    threads, memory_kb = of_process(worker.pid, "Threads"), of_process(worker.pid, "VmRSS")
    sent = len(events)
    for behave in (slow, silent, malformed, huge_header, many_headers, never_reading):
        with crowd(site.http_port, behave):
            site.send(events)
            sent += len(events)
            site.wait_for_outcomes(sent)
            for path in ("/livez", "/readyz", "/metrics"):
                wait_until(lambda path=path: site.asked(path) == 200, f"an answer of {path} beside {behave.__name__}")  # type: ignore[misc]
            assert of_process(worker.pid, "Threads") <= threads + THREADS_MAX
    assert of_process(worker.pid, "VmRSS") < memory_kb + 40_000
    wait_until(lambda: of_process(worker.pid, "Threads") <= threads + 1, "the clients' threads to end")
    assert worker.stop() == 0, worker.log
    assert "Traceback" not in worker.log
