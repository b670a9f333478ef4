"""The report as a browser shows it, on a phone and on a desk: nothing is missing, nothing sticks out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

import pytest

from tests.support.findings_examples import clear, none, odd, weak
from trainer.report.page import report_files

PATIENCE_S = 60  # a loaded machine starts a browser slowly; nothing here waits for time to pass
PHONE, DESK = 360, 1280

pytestmark = pytest.mark.browser

# Figures with their own scroll bar may be wider than the screen; whatever else sticks out moves the whole page.
MEASURE = """({
    inner: document.documentElement.clientWidth,
    page: document.documentElement.scrollWidth,
    figures: [...document.querySelectorAll("figure")].map(figure => {
        const box = figure.querySelector("svg").getBoundingClientRect();
        return {id: figure.id, width: box.width, height: box.height};
    }),
    smallest: Math.min(...[...document.querySelectorAll("figure svg text")].map(text => {
        const {a, b} = text.getScreenCTM();
        return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(a, b);
    })),
    cards: document.querySelectorAll(".card").length,
    headline: document.querySelector("h1").innerText,
})"""


@dataclass
class Browser:
    """A Chromium that is spoken to in its own protocol over two pipes; one page at a time."""

    process: subprocess.Popen[bytes]
    to_browser: int
    from_browser: int
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _unread: bytes = b""
    _last: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer; what happens meanwhile is kept in events."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._last:
            self.events.append(answer)
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["result"]
        return found

    def wait_for(self, method: str) -> None:
        """Wait until something has happened since the last open."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._read())

    def open(self, page: Path, width: int) -> dict[str, Any]:
        """Show a page in a window of this width, and measure it."""
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
        )
        self.call("Page.navigate", url=page.as_uri())
        self.wait_for("Page.loadEventFired")
        answer = self.call("Runtime.evaluate", expression=MEASURE, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        found: dict[str, Any] = answer["result"]["value"]
        return found

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select([self.from_browser], [], [], PATIENCE_S)
            assert ready, "the browser does not answer"
            read = os.read(self.from_browser, 1 << 20)
            assert read, "the browser has ended"
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium, chromium-browser or google-chrome is installed")
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    home = tmp_path_factory.mktemp("browser")
    command = [
        program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
        f"--user-data-dir={home}", "--remote-debugging-pipe", "about:blank",
    ]  # fmt: skip
    # The browser reads from 3 and writes to 4, so a shell has to put our pipes there.
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *command],
        pass_fds=(theirs_in, theirs_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(home)},
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        found = Browser(process, ours_out, ours_in)
        target = found.call("Target.createTarget", url="about:blank")["targetId"]
        found.session = found.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            found.call(f"{domain}.enable")
        yield found
        found.session = ""
        found.call("Browser.close")
        process.wait(PATIENCE_S)
    finally:
        process.kill()
        process.wait()
        os.close(ours_out)
        os.close(ours_in)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    found = {}
    for name, example in {"clear": clear, "weak": weak, "none": none, "odd": odd}.items():
        found[name] = folder / f"{name}.html"
        found[name].write_bytes(report_files(example())["report.html"])
    return found


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize(
    ("name", "figures", "cards"), [("clear", 9, 5), ("weak", 8, 3), ("none", 5, 0), ("odd", 9, 10)]
)
def test_a_report_is_whole_on_a_phone_and_on_a_desk(
    browser: Browser, pages: dict[str, Path], name: str, figures: int, cards: int, width: int
) -> None:
    found = browser.open(pages[name], width)

    assert problems(browser) == []
    assert found["inner"] == width
    assert found["page"] == width, "something sticks out of the page"
    assert found["cards"] == cards
    assert len(found["figures"]) == figures
    for figure in found["figures"]:
        assert figure["width"] > 300, figure
        assert figure["height"] > 80, figure
    assert found["smallest"] >= 8.5, "text in a figure is too small to read"


def test_a_page_that_lacks_something_is_found_out(browser: Browser, tmp_path: Path) -> None:
    """Whether the tests above could fail."""
    page = tmp_path / "broken.html"
    page.write_text(
        "<!doctype html><title>broken</title><h1>broken</h1><img src='missing.png'>"
        "<script>nothing.there()</script><figure><svg width='900' height='0'></svg></figure>",
        encoding="utf-8",
    )
    found = browser.open(page, PHONE)
    assert any("ERR_FILE_NOT_FOUND" in problem for problem in problems(browser))
    assert any("nothing is not defined" in problem for problem in problems(browser))
    assert found["page"] > PHONE
    assert found["figures"] == [{"id": "", "width": 900, "height": 0}]


def problems(browser: Browser) -> list[str]:
    """What failed to load, what was logged as wrong, and what was asked for beside the page itself."""
    found = []
    for event in browser.events:
        match event:
            case {"method": "Network.loadingFailed", "params": {"errorText": text}}:
                found.append(text)
            case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                found.append(str(details["exception"]["description"]))
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error" | "warning", "text": text}}}:
                found.append(text)
            case {"method": "Network.requestWillBeSent", "params": {"request": {"url": url}}}:
                if not url.startswith(("file:", "data:")):
                    found.append(f"asked for {url}")
    return found
