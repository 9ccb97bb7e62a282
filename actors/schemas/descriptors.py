"""The protobuf message classes of the Kata agent API, one set for each dialect, from the files that lie beside this one.

Each in a descriptor pool of its own: both have the same names, and the packages are called `grpc` and `types`, names that others may want in the default pool.
Loaded on first use. Not for callers above `actors.schemas`, which see structs alone. `scripts/make-descriptors`
builds the sets.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.internal import api_implementation

from actors.words import Dialect
from transports.calls.protobuf import fields

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any
    from google.protobuf.message import Message
    from google.protobuf.struct_pb2 import Struct

__all__ = ["backend", "detail_messages", "load", "message_class", "method_types"]

_FILES = {Dialect.TTRPC: "kata_agent.binpb", Dialect.GRPC: "kata_agent_1x.binpb"}


def backend() -> str:
    """What runs protobuf here: `upb` (fast), `cpp`, or `python` (works, some 20 times slower)."""
    return api_implementation.Type()


def load() -> None:
    """Read the sets now, for those who can't let a file be read later."""
    for dialect in Dialect:
        _pool(dialect)


def detail_messages() -> tuple[Any, Struct]:
    """Empty ones of protobuf's own, by which a failure's details travel; imported for the first that has any."""
    from google.protobuf.any_pb2 import Any
    from google.protobuf.struct_pb2 import Struct

    return Any(), Struct()


@cache
def message_class(full_name: str, dialect: Dialect = Dialect.TTRPC) -> type[Message]:
    """The message class of a full protobuf name, as `grpc.CreateContainerRequest`.

    Raises:
        KeyError: the dialect has no such message.
    """
    return message_factory.GetMessageClass(_pool(dialect).FindMessageTypeByName(full_name))


@cache
def method_types(service: str, dialect: Dialect = Dialect.TTRPC) -> dict[str, tuple[str, str]]:
    """RPC name -> full names of its request and its response, for `grpc.AgentService` or `grpc.Health`."""
    found = _pool(dialect).FindServiceByName(service)
    return {method.name: (method.input_type.full_name, method.output_type.full_name) for method in found.methods}


@cache
def _pool(dialect: Dialect) -> descriptor_pool.DescriptorPool:
    data = Path(__file__).with_name(_FILES[dialect]).read_bytes()
    pool = descriptor_pool.DescriptorPool()
    # a FileDescriptorSet has one field: its files. `descriptor_pb2`, which would read it, takes longer to import than all the rest
    for _, start, end in fields(data, 0, len(data)):
        pool.AddSerializedFile(data[start:end])
    return pool
