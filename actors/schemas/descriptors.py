"""The protobuf message classes of the Kata agent API, from the descriptor set that lies beside this file.

In a descriptor pool of their own: the packages are called `grpc` and `types`, names that others may want in the default pool.
Loaded on first use. Not for callers above `actors.schemas`, which see structs alone. `scripts/make-descriptors`
builds the set.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import api_implementation

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["backend", "load", "message_class", "method_types"]


def backend() -> str:
    """What runs protobuf here: `upb` (fast), `cpp`, or `python` (works, some 20 times slower)."""
    return api_implementation.Type()


def load() -> None:
    """Read the set now, for those who can't let a file be read later."""
    _pool()


@cache
def message_class(full_name: str) -> type[Message]:
    """The message class of a full protobuf name, as `grpc.CreateContainerRequest`.

    Raises:
        KeyError: no such message.
    """
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(full_name))


@cache
def method_types(service: str) -> dict[str, tuple[str, str]]:
    """RPC name -> full names of its request and its response, for `grpc.AgentService` or `grpc.Health`."""
    found = _pool().FindServiceByName(service)
    return {method.name: (method.input_type.full_name, method.output_type.full_name) for method in found.methods}


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    data = resources.files("actors.schemas").joinpath("kata_agent.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool
