#!/usr/bin/env python3
"""Takes the pictures of the screen again: boots the ISO in QEMU, types commands on the serial port (the console shows the
same text on the framebuffer), and asks QEMU for a picture. --until TEXT: the last command shows that, and goes on.

    python3 docs/img/screenshot.py build/strata.iso docs/img/monitor.png [COMMAND ...]
    python3 docs/img/screenshot.py --until 'half of all goes' build/strata.iso docs/img/view.png demo
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
SECONDS = 240


def wait_for_prompt(qemu, deadline):
    """Reads the serial port until a prompt on a new line stands at its end."""
    wait_for(qemu, deadline, lambda seen: b"\n" in seen and seen.endswith(PROMPT))


def wait_for(qemu, deadline, is_there):
    seen = b""
    while not is_there(seen):
        ready, _, _ = select.select([qemu.stdout], [], [], max(0, deadline - time.monotonic()))
        data = os.read(qemu.stdout.fileno(), 65536) if ready else b""
        if not data:
            sys.exit("screenshot: what was waited for did not come; the last output was: %r" % seen[-200:])
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


def main(iso, picture, commands, until):
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "qmp")
        qemu = subprocess.Popen(
            [os.environ.get("QEMU", "qemu-system-x86_64"), "-nodefaults", "-machine", "pc", "-cpu", "max", "-m", os.environ.get("MEM", "512M"),
             "-device", "VGA", "-display", "none", "-cdrom", iso, "-boot", "d", "-serial", "stdio",
             "-qmp", "unix:%s,server=on,wait=off" % path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            deadline = time.monotonic() + SECONDS
            wait_for_prompt(qemu, deadline)
            for command in commands:
                qemu.stdin.write(command.encode() + b"\r")
                qemu.stdin.flush()
                if until and command == commands[-1]:
                    wait_for(qemu, deadline, lambda seen: until.encode() in seen)
                else:
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
    words, shown = sys.argv[1:], ""
    if words[:1] == ["--until"] and len(words) > 1:
        shown, words = words[1], words[2:]
    if len(words) < 2:
        sys.exit(__doc__)
    main(words[0], words[1], words[2:] or COMMANDS, shown)
