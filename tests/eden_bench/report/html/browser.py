"""A headless Chromium over its debugging pipe: opens a file, tells what it ran, asked for and complained of."""

import base64
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Page:
    """An open page: what it logged, and what it asked for."""

    call: object
    requests: list = field(default_factory=list)
    complaints: list = field(default_factory=list)

    def value(self, expression):
        """Return what an expression of JavaScript gives."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def size(self, width, height, *, dark=False):
        """Show the page at a size, light or dark."""
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)

    def printed(self):
        """Show the page as it is printed, all details open."""
        self.call("Emulation.setEmulatedMedia", media="print")
        self.value("for (const each of document.querySelectorAll('details')) each.open = true")

    def picture(self, path):
        """Write what is shown as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def opened(path, profile):
    """Open a file in a browser with an empty profile, and wait until it is loaded."""
    to_read, to_write = os.pipe()
    back_read, back_write = os.pipe()
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    command += ["--no-first-run", "--disable-background-networking", f"--user-data-dir={profile}", "about:blank"]

    def pipes():
        os.dup2(to_read, 3), os.dup2(back_write, 4)

    process = subprocess.Popen(
        command,
        pass_fds=(3, 4, to_read, back_write),
        preexec_fn=pipes,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read), os.close(back_write)
    with os.fdopen(to_write, "wb", 0) as out, os.fdopen(back_read, "rb", 0) as back:
        try:
            yield _load(_Pipe(out, back), path)
        finally:
            process.kill()
            process.wait()


class _Pipe:
    """Messages of the debugging protocol, each ended by a zero byte."""

    def __init__(self, out, back):
        self.out, self.back, self.rest, self.number = out, back, b"", 0
        self.session, self.events = None, []

    def call(self, method, **parameters):
        """Send a command, and return its result; what happens in between is kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        self.out.write(json.dumps(message).encode() + b"\0")
        while (found := self.receive()).get("id") != self.number:
            self.events.append(found)
        assert "error" not in found, found["error"]
        return found["result"]

    def receive(self):
        """Return the next message."""
        while b"\0" not in self.rest:
            chunk = self.back.read(1 << 16)
            assert chunk, "the browser ended"
            self.rest += chunk
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def wait_for(self, method):
        """Wait for an event."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())


def _load(pipe, path):
    (target,) = (each for each in pipe.call("Target.getTargets")["targetInfos"] if each["type"] == "page")
    pipe.session = pipe.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        pipe.call(f"{domain}.enable")
    pipe.call("Page.navigate", url=path.as_uri())
    pipe.wait_for("Page.loadEventFired")
    pipe.call("Runtime.evaluate", expression="new Promise((done) => setTimeout(done, 200))", awaitPromise=True)
    page = Page(pipe.call)
    for event in pipe.events:
        name, told = event.get("method"), event.get("params", {})
        if name == "Network.requestWillBeSent":
            page.requests.append(told["request"]["url"])
        if name in (
            "Log.entryAdded",
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
            "Page.javascriptDialogOpening",
        ):
            page.complaints.append(told)
    return page
