"""A headless Chromium, driven by its DevTools protocol over two pipes: nothing but Python's own library."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


class Browser:
    """One page. Keeps what its console said, what went wrong in it, and what it asked the network for."""

    def __init__(self):
        program = next(filter(None, map(shutil.which, NAMES)), None)
        assert program, "no Chromium is installed: tools/setup.sh test installs one"
        self._profile = tempfile.TemporaryDirectory(prefix="moecollab-browser.")
        commands, self._commands = os.pipe()
        self._replies, replies = os.pipe()

        self._process = subprocess.Popen(  # the protocol's pipes are descriptors 3 and 4
            ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{replies}', "browser", program, "--headless", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={self._profile.name}"],
            pass_fds=(commands, replies), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(replies)
        self._bytes, self._count, self._session = b"", 0, None
        self.said, self.requests, self._events = [], [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session = None
        self.call("Browser.close")
        self._process.wait(30)
        os.close(self._commands)
        os.close(self._replies)
        self._profile.cleanup()

    def call(self, method, **parameters):
        """One command of the protocol, and its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._next()
            if reply.get("id") == self._count:
                assert "error" not in reply, (method, reply["error"])
                return reply["result"]

    def _next(self, seconds=60):
        """The next reply; events are kept as they pass."""
        end = time.monotonic() + seconds
        while b"\0" not in self._bytes:
            ready, _, _ = select.select([self._replies], [], [], max(0, end - time.monotonic()))
            assert ready, f"the browser said nothing for {seconds} s"
            chunk = os.read(self._replies, 1 << 20)
            assert chunk, "the browser ended"
            self._bytes += chunk
        line, self._bytes = self._bytes.split(b"\0", 1)
        message = json.loads(line)
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Runtime.consoleAPICalled":
            self.said.append((parameters["type"], [a.get("value", a.get("description")) for a in parameters["args"]]))
        elif method == "Runtime.exceptionThrown":
            self.said.append(("exception", parameters["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.said.append((parameters["entry"]["level"], parameters["entry"]["text"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method:
            self._events.append(method)
        return message

    def open(self, file):
        """Loads a file and waits until it is loaded; what was said and asked for before is forgotten."""
        self.said, self.requests, self._events = [], [], []
        self.call("Page.navigate", url=file.resolve().as_uri())
        while "Page.loadEventFired" not in self._events:
            self._next()

    def show(self, width, dark=False, paper=False):
        """Looks at the page at this width in CSS pixels, light or dark, on a screen or on paper."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", media="print" if paper else "screen",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def evaluate(self, expression):
        """The value of a JavaScript expression; a promise is waited for."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def screenshot(self, file):
        """The whole page as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))
