"""Cutting a byte stream into lines with a bound on memory. Sans-I/O; ``client`` feeds it."""

from __future__ import annotations

from agentk.kube.errors import KubeError


class LineSplitter:
    """Collects bytes and hands out complete, non-empty lines without their line break."""

    def __init__(self, longest: int) -> None:
        """Make an empty splitter.

        Args:
            longest: Bytes that a line may have.
        """
        self._longest = longest
        self._parts: list[bytes] = []
        self._size = 0

    def push(self, data: bytes) -> list[bytes]:
        """Take more bytes, return the lines that are complete with them.

        Raises:
            KubeError: Reason ``TooLarge`` when a line, complete or not, is longer than allowed.
        """
        *complete, rest = data.split(b"\n")
        lines: list[bytes] = []
        for piece in complete:
            self._add(piece)
            line = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            if line.strip():
                lines.append(line)
        if rest:
            self._add(rest)
        return lines

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._longest:
            raise KubeError(200, "TooLarge", f"an event of the watch is larger than {self._longest} bytes")
        self._parts.append(piece)
