"""A machine with a screen: QEMU with the serial port on pipes, and its monitor protocol (QMP) for pictures and keys.

Nothing here waits for a time: what was sent is waited for until its answer is there, or until the machine is given up.
"""

import json
import os
import select
import shlex
import shutil
import socket
import subprocess
import tempfile
import time

PROMPT = "\rstrata> \x1b[K"
CODE = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_CODE.fd"]


class Failure(Exception):
    """What was waited for did not come."""


def ovmf():
    """UEFI's code image, or None."""
    return next((p for p in CODE if os.path.isfile(p)), None)


class ScreenMachine:
    """kernel: booted directly, in VGA's text mode; iso: by GRUB, into a framebuffer. heard: all that the serial port said;
    on_text, if there is one, is called with each piece. seconds: how long an answer may take before the machine is given up."""

    def __init__(self, kernel=None, iso=None, uefi=False, append="", memory="128M", arguments=(), seconds=120, on_text=None):
        self.scratch = tempfile.TemporaryDirectory()
        self.heard, self.read_to, self.on_text = "", 0, on_text
        self.seconds = seconds
        path = os.path.join(self.scratch.name, "qmp")
        command = shlex.split(os.environ.get("QEMU", "qemu-system-x86_64"))
        command += ["-nodefaults", "-no-user-config", "-no-reboot", "-cpu", "max", "-m", memory, "-device", "VGA", "-display", "none",
                    "-serial", "stdio", "-qmp", "unix:%s,server=on,wait=off" % path]
        if kernel:
            command += ["-kernel", kernel, "-append", append]
        else:
            command += ["-drive", "if=ide,media=cdrom,format=raw,readonly=on,file=" + iso, "-boot", "d"]
        if uefi:
            variables = os.path.join(self.scratch.name, "vars.fd")
            shutil.copyfile(ovmf().replace("CODE", "VARS"), variables)
            command += ["-drive", "if=pflash,format=raw,readonly=on,file=" + ovmf(),
                        "-drive", "if=pflash,format=raw,file=" + variables]
        self.process = subprocess.Popen(command + list(arguments), bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.channel = None
        self.qmp_path = path

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        if self.channel:
            self.channel.close()
            self.socket.close()
        self.scratch.cleanup()

    # --- the serial port ---

    def hear(self, end):
        ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
        data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
        if not data:
            raise Failure("the machine %s; its last words: %r" %
                          ("ended" if ready else "took too long", self.heard[-300:]))
        text = data.decode("latin-1")
        self.heard += text
        if self.on_text:
            self.on_text(text)

    def wait_for(self, text):
        """Up to the next time that it says so. Returns what it said to there."""
        end = time.monotonic() + self.seconds
        start = look_from = self.read_to
        while (found := self.heard.find(text, look_from)) < 0:
            look_from = max(start, len(self.heard) - len(text))
            self.hear(end)
        self.read_to = found + len(text)
        return self.heard[start:self.read_to]

    def send(self, keys):
        self.process.stdin.write(keys.encode("latin-1"))

    def ask(self, line):
        """A command, at the prompt: its answer. The screen shows it and the new prompt when this returns."""
        self.send(line + "\r")
        self.wait_for("\n")
        return self.wait_for(PROMPT)[:-len(PROMPT)].replace("\r\n", "\n")

    # --- QEMU's monitor ---

    def qmp(self, command, **arguments):
        if not self.channel:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(60)
            self.socket.connect(self.qmp_path)
            self.channel = self.socket.makefile("rw")
            self.channel.readline()  # the greeting
            self.qmp("qmp_capabilities")
        self.channel.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.channel.flush()
        while True:
            answer = json.loads(self.channel.readline())
            if "error" in answer:
                raise Failure("QEMU refuses %s: %s" % (command, answer["error"]["desc"]))
            if "return" in answer:  # and not an event
                return answer["return"]

    def press(self, *names):
        """Keys of the PS/2 keyboard, by QEMU's names (QKeyCode): one after another."""
        for name in names:
            for down in (True, False):
                self.qmp("input-send-event", events=[
                    {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": name}}}])

    def photograph(self, path, form="ppm"):
        self.qmp("screendump", filename=os.path.abspath(path), format=form)
        return path
