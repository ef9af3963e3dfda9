"""Reads a Parquet file in a process of its own, with bounded memory and time: a broken file ends that, not us.

Run as `python -m ingest.parquet_source`: Parquet on standard input, an Arrow stream on standard output.
"""

from __future__ import annotations

import asyncio
import resource
import sys

from iot.codecs import parquet
from iot.codecs.frame import MalformedError

PATIENCE_S = 30.0
MEMORY_BYTES = 2 << 30
CPU_S = 30


async def unpacked(payload: bytes) -> bytes:
    """The Arrow stream of a Parquet file. Raises `MalformedError` with what the reader says."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ingest.parquet_source",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        stream, said = await asyncio.wait_for(child.communicate(payload), PATIENCE_S)
    except TimeoutError:
        raise MalformedError("cannot be read in time") from None
    finally:
        if child.returncode is None:
            child.kill()
    if child.returncode:
        last = said.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise MalformedError(f"no Parquet file: {last[0] if last else 'the reader ended'}"[:200])
    return stream


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    try:
        sys.stdout.buffer.write(parquet.as_stream(sys.stdin.buffer.read()))
    except MalformedError as wrong:
        print(wrong, file=sys.stderr)  # noqa: T201 - the answer to who started us
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
