"""Addresses of the kernel's functions, from nm."""

from __future__ import annotations

import bisect
import subprocess


class Symbols:
    """The functions of an ELF file, by address."""

    def __init__(self, text: str) -> None:
        self.by_name: dict[str, int] = {}
        names: dict[int, str] = {}
        for line in text.splitlines():
            fields = line.split()
            if len(fields) == 3 and fields[1] in "tTwW" and not fields[2].startswith((".L", "__start_", "__stop_")):
                address = int(fields[0], 16)
                self.by_name.setdefault(fields[2], address)
                if address not in names or fields[1] == "T":
                    names[address] = fields[2]
        self.addresses = sorted(names)
        self.names = [names[a] for a in self.addresses]

    @classmethod
    def of(cls, elf: str, nm: str = "nm") -> Symbols:
        done = subprocess.run([nm, "-n", elf], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise OSError(done.stderr.decode().strip() or f"{nm} failed")
        return cls(done.stdout.decode())

    def at(self, address: int) -> tuple[str, int] | None:
        """The function that holds the address, and where in it; None: below all of them."""
        i = bisect.bisect_right(self.addresses, address) - 1
        return (self.names[i], address - self.addresses[i]) if i >= 0 else None

    def text(self, address: int) -> str:
        found = self.at(address)
        if found is None or found[1] > 1 << 20:
            return f"{address:#x}"
        return f"{found[0]}+{found[1]:#x}"
