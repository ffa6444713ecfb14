"""Chromium without a window, driven by its DevTools protocol over a pipe. Standard library only.

What the page writes as an error (console, exception, refused resource) is collected in `errors`. Nothing sleeps: wait() is a
promise in the page that is looked at before each picture.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
SECONDS = 120
KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "PageUp": 33, "PageDown": 34, "Home": 36, "End": 35,
        "Enter": 13, "Tab": 9, "Escape": 27}
CODES = {"+": 187, "-": 189, "0": 48, "[": 219, "]": 221, " ": 32}


def find():
    wanted = os.environ.get("CHROMIUM")
    return shutil.which(wanted) if wanted else next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    def __init__(self, width=1280, height=800):
        self.folder = tempfile.TemporaryDirectory(prefix="strata-browser-")
        to_browser, self.pipe_out = os.pipe()
        self.pipe_in, from_browser = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_browser, from_browser)]

        def place():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        with open(os.path.join(self.folder.name, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [find(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--host-resolver-rules=MAP * ~NOTFOUND", "--force-color-profile=srgb", "--hide-scrollbars",
                 "--user-data-dir=" + os.path.join(self.folder.name, "profile"), "--window-size=%d,%d" % (width, height),
                 "--remote-debugging-pipe", "about:blank"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=place, pass_fds=(3, 4, *ends))
        for end in (to_browser, from_browser, *ends):
            os.close(end)
        self.buffer, self.number, self.errors, self.loaded, self.session = b"", 0, [], False, None
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        self.size(width, height)

    def close(self):
        for pipe in (self.pipe_out, self.pipe_in):
            os.close(pipe)  # the browser ends when its pipe does
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    # --- The protocol: messages of JSON, each ended by a zero ---

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.pipe_out, data):]
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise AssertionError("%s: %s" % (method, answer["error"]["message"]))
                return answer["result"]
            self._event(answer)

    def _receive(self, deadline):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.pipe_in], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.pipe_in, 1 << 20) if ready else b""
            if not data:
                raise AssertionError("the browser %s" % ("ended" if ready else "does not answer"))
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def _event(self, event):
        what, parameters = event.get("method"), event.get("params", {})
        if what == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif what == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in parameters["args"]))
        elif what == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.errors.append(parameters["entry"]["text"])
        elif what == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith(("file:", "data:", "blob:", "about:")):
            self.errors.append("asks the network for " + parameters["request"]["url"])
        elif what == "Page.loadEventFired":
            self.loaded = True

    # --- What a person does ---

    def open(self, path):
        self.errors, self.loaded = [], False
        self.call("Page.navigate", url="file://" + os.path.abspath(path))
        while not self.loaded:
            self._event(self._receive(time.monotonic() + SECONDS))

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def run(self, expression):
        """The value of an expression, a promise awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError("%s: %s" % (expression, answer["exceptionDetails"].get("exception", {}).get("description")))
        return answer["result"].get("value")

    def wait(self, condition, seconds=60):
        met = self.run("new Promise(done => { const end = performance.now() + %d; const look = () => (%s) ? done(true) : "
                       "performance.now() > end ? done(false) : requestAnimationFrame(look); look(); })" % (seconds * 1000, condition))
        if not met:
            raise AssertionError("never true: " + condition)

    def settle(self):
        """Until what was changed is drawn."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def middle(self, selector, x=0.5, y=0.5):
        """A place in an element, which is scrolled into the window."""
        return self.run("(() => { const e = document.querySelector(%s); e.scrollIntoView({block: 'center', behavior: 'instant'}); const r = "
                        "e.getBoundingClientRect(); return [r.x + r.width * %f, r.y + r.height * %f]; })()" % (json.dumps(selector), x, y))

    def mouse(self, what, at, **more):
        self.call("Input.dispatchMouseEvent", type=what, x=at[0], y=at[1], **more)

    def hover(self, selector, x=0.5, y=0.5):
        self.mouse("mouseMoved", self.middle(selector, x, y))
        self.settle()

    def click(self, selector, x=0.5, y=0.5, count=1):
        at = self.middle(selector, x, y)
        self.mouse("mouseMoved", at)
        self.mouse("mousePressed", at, button="left", buttons=1, clickCount=count)
        self.mouse("mouseReleased", at, button="left", clickCount=count)
        self.settle()

    def drag(self, selector, x1, x2, y=0.5):
        start, end = self.middle(selector, x1, y), self.middle(selector, x2, y)
        self.mouse("mouseMoved", start)
        self.mouse("mousePressed", start, button="left", buttons=1, clickCount=1)
        for share in (0.3, 0.7, 1):
            self.mouse("mouseMoved", [start[0] + (end[0] - start[0]) * share, start[1]], button="left", buttons=1)
        self.mouse("mouseReleased", end, button="left", clickCount=1)
        self.settle()

    def wheel(self, selector, delta, modifiers=2, x=0.5):
        at = self.middle(selector, x)
        self.mouse("mouseWheel", at, deltaX=0, deltaY=delta, modifiers=modifiers)
        self.settle()

    def key(self, key, times=1):
        code = KEYS.get(key) or CODES.get(key) or ord(key.upper())
        text = {"text": key if len(key) == 1 else "\r"} if len(key) == 1 or key == "Enter" else {}
        for _ in range(times):
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)
        self.settle()

    def focus(self, selector):
        self.run("document.querySelector(%s).focus()" % json.dumps(selector))

    def picture(self, path, whole=False):
        """A PNG of the window, or of the whole page."""
        self.settle()
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))
