"""The kata agent API over the executor, in both dialects: every call is served or refused, with errors as statuses.

`compose` puts `handlers()` behind a server. What it can't do it refuses (UNIMPLEMENTED); it never
reports success for a field that it would ignore. The calls are in `kata_guest`, `kata_containers`,
`kata_processes`, and `kata_refused` for those that have no meaning here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.errors import InternalError, InvalidArgument, InvalidTransition, KatrioError
from actors.guest.services.kata_containers import ContainerCalls
from actors.guest.services.kata_guest import GuestCalls
from actors.guest.services.kata_metrics import MetricsCalls
from actors.guest.services.kata_processes import ProcessCalls
from actors.guest.services.kata_refused import refusals
from actors.node.exhaustion import told_when_exhausted
from actors.schemas.agent import ReadStreamRequest, ReadStreamResponse
from actors.schemas.rpcs import SchemaError, decode_request, encode_response, rpcs_of
from actors.schemas.status import END_OF_STREAM_1X, TAKES_DETAILS, status_from_error
from actors.words import Dialect
from transports.errors import RpcStatusError, StatusCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.guest.executor import Executor
    from actors.guest.platform import Platform
    from actors.guest.services.method import Method
    from actors.limits import Limits
    from actors.schemas.rpcs import Rpc
    from transports.calls.server import CallContext, Handler

__all__ = ["KataService"]

# where today's agent uses another code ("no tty"). katrio's own client gets the error itself; 1.x's agent has our codes
_AS_TODAY: Mapping[tuple[str, type[KatrioError]], StatusCode] = {
    ("TtyWinResize", InvalidTransition): StatusCode.UNAVAILABLE,
}


class KataService:
    """Every call of the API, including those that are refused."""

    def __init__(
        self,
        executor: Executor,
        limits: Limits,
        *,
        version: str,
        engine: str,
        platform: Platform,
    ) -> None:
        guest = GuestCalls(executor.model, platform, limits, version=version, engine=engine)
        executor.when_empty(guest.forget_files)
        self._methods: Mapping[str, Method] = {
            **guest.methods(),
            **ContainerCalls(executor, platform).methods(),
            **ProcessCalls(executor, limits).methods(),
            **MetricsCalls(executor, platform).methods(),
            **refusals(),
        }

    def handlers(self, dialect: Dialect = Dialect.TTRPC) -> Mapping[tuple[str, str], Handler]:
        """For a `CallServer`, which refuses calls that the dialect lacks; a test compares them to the table of calls."""
        return {
            (rpc.service, name): partial(_answer, rpc, self._methods[name], dialect)
            for name, rpc in rpcs_of(dialect).items()
        }


async def _answer(rpc: Rpc, method: Method, dialect: Dialect, payload: bytes, context: CallContext) -> bytes:
    """Serve one call: decode, run, encode; our own errors become their status."""
    try:
        with told_when_exhausted(rpc.method):
            request = decode_request(rpc, payload, dialect)
            response = await method(request)
    except SchemaError as error:
        raise _refusal(rpc, InvalidArgument(f"{rpc.method}: {error}", field="payload"), dialect, context) from error
    except KatrioError as error:
        raise _refusal(rpc, error, dialect, context) from error
    except trio.TooSlowError as error:
        late = InternalError(f"{rpc.method}: a bound of the guest's own ran out")
        raise _refusal(rpc, late, dialect, context) from error
    # an empty answer to a read of 0 bytes is not end of file
    asked = not isinstance(request, ReadStreamRequest) or request.len
    if dialect is Dialect.GRPC and isinstance(response, ReadStreamResponse) and not response.data and asked:
        raise RpcStatusError(*END_OF_STREAM_1X)
    return encode_response(rpc, response, dialect)


def _refusal(rpc: Rpc, error: KatrioError, dialect: Dialect, context: CallContext) -> RpcStatusError:
    code, message, details = status_from_error(error)
    if dialect is Dialect.GRPC or TAKES_DETAILS in context.metadata:
        return RpcStatusError(code, message, details)
    return RpcStatusError(_AS_TODAY.get((rpc.method, type(error)), code), message, ())
