"""A terminal to run a program in: a pseudo-terminal and the little of a screen that cnnctl needs, wide lines included.

Not a general emulator: an escape sequence that it does not know is an error, so that none slips in unseen."""
import fcntl
import os
import re
import select
import struct
import termios
import time

TOKEN = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])|\x1b|[\x00-\x1f]|[^\x00-\x1f\x1b]+")


class Screen:
    def __init__(self, columns=80, rows=24):
        self.master, self.slave = os.openpty()
        self.columns, self.rows = columns, rows
        self.lines, self.row, self.column = [""], 0, 0
        self.cursor, self.text, self.updates, self.colours = True, "", [], set()
        self.pending = b""
        self.resize(columns, rows)

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds, until=lambda: False):
        """Shows what comes until `until` holds, the program has closed the terminal, or the time is over; says
        whether `until` holds."""
        end = time.monotonic() + seconds
        while not until():
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                return until()
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return until()
            if not data:
                return until()
            self.feed(data)
        return True

    def feed(self, data):
        self.pending += data
        # A piece may end within a character or an escape sequence.
        cut = len(self.pending)
        for back in range(1, min(4, cut) + 1):
            if self.pending[-back] >= 0xC0:
                need = 2 if self.pending[-back] < 0xE0 else 3 if self.pending[-back] < 0xF0 else 4
                cut -= back if need > back else 0
                break
        escape = self.pending.rfind(b"\x1b", 0, cut)
        if escape >= 0 and not re.match(rb"\x1b\[\??[\d;]*[A-Za-z]", self.pending[escape:cut]):
            cut = escape
        text, self.pending = self.pending[:cut].decode(), self.pending[cut:]
        self.text += text
        for match in TOKEN.finditer(text):
            if match.group(3):
                self.sequence(*match.groups())
            elif match.group() == "\r":
                self.column = 0
            elif match.group() == "\n":
                self.row += 1
                while self.row >= len(self.lines):
                    self.lines.append("")
            elif match.group() < " ":
                raise AssertionError(f"control character {match.group()!r}")
            else:
                self.put(match.group())

    def put(self, text):
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[:self.column] + text + line[self.column + len(text):]
        self.column += len(text)
        if self.column > self.columns:
            raise AssertionError(f"a line of {self.column} columns on a terminal of {self.columns}: {text!r}")

    def sequence(self, private, numbers, letter):
        first = int(numbers.split(";")[0] or 0) if numbers else 0
        if private:
            if (first, letter) == (2026, "h"):
                self.updates.append(time.monotonic())
            elif first == 25:
                self.cursor = letter == "h"
            elif first != 2026:
                raise AssertionError(f"mode {first}{letter}")
        elif letter == "m":
            self.colours.add(numbers)
        elif letter == "A":
            assert first <= min(self.row, self.rows - 1), "up beyond the screen"
            self.row -= first
        elif letter == "C":
            self.column = min(self.column + first, self.columns - 1)
        elif letter == "K":
            self.lines[self.row] = self.lines[self.row][:self.column]
        elif letter == "J":
            self.lines[self.row] = self.lines[self.row][:self.column]
            del self.lines[self.row + 1:]
        else:
            raise AssertionError(f"escape sequence {numbers}{letter}")

    def picture(self):
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n")

    def close(self):
        os.close(self.master)
        os.close(self.slave)
