"""What a call of the agent API is asked with: a struct that names the type of its answer.

For the structs of the calls (`agent`, `network`, `resources`), and for `client.call(request)`, whose result both type
checkers know by it. Not for which call it is: `rpcs` has the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args

from msgspec import Struct

__all__ = ["Empty", "Request", "response_type"]

R_co = TypeVar("R_co", bound=Struct, covariant=True)


class Request(Struct, Generic[R_co], frozen=True):
    """The request of a call that is answered by an `R_co`. The docstring's first paragraph says what the call does."""

    if TYPE_CHECKING:
        # of a request whose type is known no more closely, which has whatever fields that one has
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...


class Empty(Struct, frozen=True):
    """The answer of every call that has nothing to say."""


def response_type(request: type[Request[Any]]) -> type[Struct]:
    """The type of the answer to a request of this type."""
    for base in (base for each in request.__mro__ for base in getattr(each, "__orig_bases__", ())):
        for bound in get_args(base):
            if isinstance(bound, type):
                return bound
    raise TypeError(f"{request.__name__} is answered by no type")
