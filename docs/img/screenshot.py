#!/usr/bin/env python3
"""Takes docs/img/monitor.png again: boots the ISO in QEMU, types commands on the serial port (the console shows the same
text on the framebuffer), and asks QEMU for a picture of the screen.

    python3 docs/img/screenshot.py build/strata.iso docs/img/monitor.png [COMMAND ...]
"""

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time

COMMANDS = ["alloc pages 12", "zones", "map"]
PROMPT = b"strata> \x1b[K"  # and the line behind it cleared
SECONDS = 120


def wait_for_prompt(qemu, deadline):
    """Reads the serial port until a prompt on a new line stands at its end."""
    seen = b""
    while not (b"\n" in seen and seen.endswith(PROMPT)):
        ready, _, _ = select.select([qemu.stdout], [], [], max(0, deadline - time.monotonic()))
        data = os.read(qemu.stdout.fileno(), 65536) if ready else b""
        if not data:
            sys.exit("screenshot: no prompt; the last output was: %r" % seen[-200:])
        seen += data


def ask(channel, command, **arguments):
    """One request to QEMU's monitor (QMP); skips the events that come before the answer."""
    channel.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    channel.flush()
    while True:
        answer = json.loads(channel.readline())
        if "error" in answer:
            sys.exit("screenshot: QEMU refuses %s: %s" % (command, answer["error"]["desc"]))
        if "return" in answer:
            return


def main(iso, picture, commands):
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "qmp")
        qemu = subprocess.Popen(
            [os.environ.get("QEMU", "qemu-system-x86_64"), "-nodefaults", "-machine", "pc", "-cpu", "max", "-m", "512M",
             "-device", "VGA", "-display", "none", "-cdrom", iso, "-boot", "d", "-serial", "stdio",
             "-qmp", "unix:%s,server=on,wait=off" % path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            deadline = time.monotonic() + SECONDS
            wait_for_prompt(qemu, deadline)
            for command in commands:
                qemu.stdin.write(command.encode() + b"\r")
                qemu.stdin.flush()
                wait_for_prompt(qemu, deadline)
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)
                channel = s.makefile("rw")
                channel.readline()  # the greeting
                ask(channel, "qmp_capabilities")
                ask(channel, "screendump", filename=os.path.abspath(picture), format="png")
        finally:
            qemu.kill()
            qemu.wait()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:] or COMMANDS)
