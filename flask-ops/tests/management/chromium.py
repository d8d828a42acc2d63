"""A headless Chromium, driven by its DevTools protocol.

The protocol runs over a pipe, as one JSON text and a NUL for each message. It needs no library, no port, and no driver
that matches the browser's version. (https://chromedevtools.github.io/devtools-protocol/)
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import selectors
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.process import DEADLINE, wait_until
from tests.programs import require

REBOUND = "rebound.example"
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # its sandbox refuses to run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container may have little shared memory
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    # No request leaves this machine. One foreign name resolves to it, as by DNS rebinding.
    f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1, MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
)
# Chromium reads the protocol from descriptor 3, and writes it to descriptor 4.
_REDIRECT = 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null'


class Browser:
    """A running Chromium."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._received = bytearray()
        self._selector = selectors.DefaultSelector()
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ)
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Return the result of a method of the protocol. Raises AssertionError if the method fails."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        end = time.monotonic() + DEADLINE
        while True:
            answer = self._receive(end)
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def _receive(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._received:
            assert self._process.stdout is not None
            assert self._selector.select(max(end - time.monotonic(), 0)), "Chromium does not answer"
            data = os.read(self._process.stdout.fileno(), 65536)
            assert data, "Chromium has ended"
            self._received += data
        message, _, rest = self._received.partition(b"\0")
        self._received = rest
        decoded: dict[str, Any] = json.loads(message)
        return decoded

    @contextlib.contextmanager
    def tab(self, width: int = 1200, height: int = 900) -> Iterator[Tab]:
        """Open a tab with its own storage, until the block ends."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session)
        tab.resize(width, height)
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.call(f"{domain}.enable")
        yield tab
        self.call("Target.disposeBrowserContext", browserContextId=context)


class Tab:
    """One page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def call(self, method: str, **parameters: Any) -> Any:
        """Return the result of a method of the protocol, called for this tab."""
        return self._browser.call(method, self._session, **parameters)

    def resize(self, width: int, height: int) -> None:
        """Set the size of the screen in CSS pixels; a narrow screen is a phone's."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def prefer(self, scheme: str) -> None:
        """Set the user's preferred colour scheme, ``light`` or ``dark``."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def before_load(self, script: str) -> None:
        """Run a script in each page opened from now on, before the page's own scripts."""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def open(self, url: str) -> None:
        """Go to ``url``, and return when the page has loaded."""
        assert "errorText" not in self.call("Page.navigate", url=url)
        wait_until(lambda: self.evaluate("document.readyState") == "complete", f"{url} is loaded")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; the result of a promise is awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str = "body") -> str:
        """Return the visible text of an element."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def rows(self, selector: str) -> list[list[str]]:
        """Return the text of each cell of a table, or of its body."""
        script = "[...document.querySelector({}).rows].map(row => [...row.cells].map(cell => cell.innerText))"
        found: list[list[str]] = self.evaluate(script.format(json.dumps(selector)))
        return found

    def shown(self, text: str, selector: str = "body") -> None:
        """Wait until an element shows ``text``."""
        wait_until(lambda: text in self.text(selector), f"{selector} shows {text!r}")

    def requested(self) -> list[str]:
        """Return the addresses of all requests of the page."""
        self.evaluate("0")  # the browser sends earlier events before the answer
        return [event["params"]["request"]["url"] for event in self._events("Network.requestWillBeSent")]

    def complaints(self) -> list[str]:
        """Return the errors that a console shows in red: errors of scripts, and actions that the browser refused.

        Failed requests are left out, because pages must handle them.
        """
        self.evaluate("0")  # the browser sends earlier events before the answer
        found = []
        for event in self._events():
            match event["method"], event["params"]:
                case "Log.entryAdded", {"entry": {"level": "error" | "warning", "source": source, "text": text}}:
                    if source != "network":
                        found.append(text)
                case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                    found.append(details.get("exception", {}).get("description", details["text"]))
                case "Runtime.consoleAPICalled", {"type": "error" | "warning", "args": args}:
                    found.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in args))
        return found

    def _events(self, method: str | None = None) -> list[dict[str, Any]]:
        mine = [event for event in self._browser.events if event.get("sessionId") == self._session]
        return [event for event in mine if method in {None, event["method"]}]


@contextlib.contextmanager
def chromium(directory: Path) -> Iterator[Browser]:
    """Run a Chromium until the block ends, with its files in ``directory``."""
    command: list[str | Path] = [require("chromium"), *_OPTIONS, f"--user-data-dir={directory / 'profile'}"]
    environ = {**os.environ, "HOME": str(directory), "TMPDIR": str(directory)}
    with (directory / "chromium").open("wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _REDIRECT, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=environ,
        )
    browser = Browser(process)
    try:
        browser.call("Browser.getVersion")
        yield browser
    finally:
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(process.pid).children(recursive=True)
        process.kill()  # a normal exit takes two seconds and saves nothing that tests need
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        process.communicate(timeout=DEADLINE)
        psutil.wait_procs(family, DEADLINE)
