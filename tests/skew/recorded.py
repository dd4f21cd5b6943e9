"""Messages of an older contract beside today's of the same name: in a descriptor pool of their own."""

from __future__ import annotations

import functools
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import grpc_tools
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

FOLDER = Path(__file__).parent


class Contract:
    """The messages of one recorded contract, as attributes: ``contract.Hello(...)``."""

    def __init__(self, name: str) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        for file in _compiled(name).file:
            self._pool.Add(file)

    def __getattr__(self, message: str) -> Any:  # noqa: ANN401 - made at run time
        found = self._pool.FindMessageTypeByName(f"agentlink.v1.{message}")
        return message_factory.GetMessageClass(found)


@functools.cache
def contract(name: str = "agentlink_v1_0") -> Contract:
    """Return a recorded contract."""
    return Contract(name)


def _compiled(name: str) -> descriptor_pb2.FileDescriptorSet:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "set"
        well_known = files(grpc_tools) / "_proto"
        arguments = ["protoc", f"-I{FOLDER}", f"-I{well_known}", "--include_imports", f"-o{output}", f"{name}.proto"]
        if protoc.main(arguments) != 0:
            raise AssertionError(f"{name}.proto cannot be compiled")
        return descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes())
