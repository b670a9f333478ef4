"""The workers of a run: who is there, who was told to end, and how each one ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.chaos.judgement import Ending
from tests.chaos.plan import Worker
from tests.chaos.sockets import connections_of
from tests.support.brokers import Program

UNASKED = frozenset({1})
"""A worker may end so by itself: whoever runs it starts it again."""
DRAINED = frozenset({0, 1})
KILLED = frozenset({128 + signal.SIGKILL})
TERMINATED = frozenset({128 + signal.SIGTERM})
FENCED = frozenset({2})
_RESTART_S = 0.5


@dataclass
class Member:
    """One process of a worker."""

    name: str
    program: Program
    worker: Worker
    allowed: frozenset[int] = UNASKED
    frozen: bool = False

    def freeze(self) -> None:
        """SIGSTOP."""
        self.frozen = True
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.frozen = False
        self._signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM."""
        # While Python still starts, nothing of the worker runs that could do better than end.
        self.allowed |= DRAINED if self.program.log else DRAINED | TERMINATED
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, and return when it is gone."""
        self.allowed |= KILLED
        self.program.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self.program.running():
            self.program.send(number)


@dataclass
class Post:
    """A place for one worker with its identity, held by one process after another."""

    worker: Worker
    member: Member | None = None
    vacant_until: float = 0.0


@dataclass
class Crew:
    """Holds every post, as an orchestrator would: what ended by itself is started again."""

    start: Callable[[Worker], Program]
    proxy_port: int
    registry_port: int | None = None
    """Where they may be connected besides."""
    posts: list[Post] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    bypasses: set[str] = field(default_factory=set)
    _leaving: list[Member] = field(default_factory=list)
    _started: int = 0

    def post(self, worker: Worker) -> Post:
        """A new post, held from now on."""
        post = Post(worker)
        self.posts.append(post)
        self.hold()
        return post

    def hold(self) -> None:
        """Note who ended, start who is due, and look where the running ones are connected."""
        for post in self.posts:
            if post.member is not None and not post.member.program.running():
                self._ended(post.member)
                post.member, post.vacant_until = None, max(post.vacant_until, time.monotonic() + _RESTART_S)
            if post.member is None and time.monotonic() >= post.vacant_until:
                post.member = self.engage(post.worker)
        for member in [one for one in self._leaving if not one.program.running()]:
            self._leaving.remove(member)
            self._ended(member)

    def engage(self, worker: Worker) -> Member:
        """Start one more process of a worker."""
        self._started += 1
        name = f"worker {self._started} ({worker.instance_id or 'dynamic'})"
        return Member(name, self.start(worker), worker)

    def vacate(self, post: Post, for_s: float) -> Member | None:
        """Whoever held the post; a successor starts after this time. It still has to end, by whatever means."""
        member, post.member = post.member, None
        post.vacant_until = time.monotonic() + for_s
        if member is not None:
            self._leaving.append(member)
        return member

    def give_up(self, post: Post) -> Member | None:
        """Whoever held the post; nobody succeeds."""
        self.posts.remove(post)
        return self.vacate(post, 0.0)

    def replace(self, post: Post, member: Member) -> None:
        """Another process holds the post from now on."""
        self.vacate(post, 0.0)
        post.member = member

    def awake(self) -> list[Post]:
        """The posts whose process runs."""
        return [post for post in self.posts if post.member is not None and not post.member.frozen]

    def owner_of(self, client_port: int) -> Post | None:
        """Whose process has the connection that comes from this port."""
        for post in self.awake():
            member = post.member
            if member is not None and any(
                one.local_port == client_port and one.remote_port == self.proxy_port
                for one in connections_of(member.program.pid)
            ):
                return post
        return None

    def look_for_bypasses(self) -> None:
        """Note each connection of a running worker that does not go to the proxy."""
        for member in self._members():
            for connection in connections_of(member.program.pid):
                if connection.remote_port not in {self.proxy_port, self.registry_port}:
                    self.bypasses.add(f"{member.name} is connected to port {connection.remote_port}")

    def end_all(self, within_s: float) -> Iterator[Ending]:
        """SIGTERM to all; how each one ended, killed after that time."""
        members = [*self._members()]
        self.posts.clear()
        for member in members:
            member.thaw()
            member.terminate()
        for member in members:
            try:
                status = member.program.process.wait(within_s)
            except TimeoutError:
                member.program.kill()
                status = 128 + signal.SIGKILL
            yield Ending(f"{member.name}, told to end when all was over,", status, member.allowed)

    def _members(self) -> Iterator[Member]:
        yield from (post.member for post in self.posts if post.member is not None)
        yield from self._leaving

    def _ended(self, member: Member) -> None:
        status = member.program.process.poll()
        assert status is not None
        self.endings.append(Ending(member.name, status, member.allowed))
