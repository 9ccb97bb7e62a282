"""Names of calls as people write them: any case, snake_case, kebab-case, or whole as `grpc.Health/Check`.

For whoever lets a call be named: `katrio call`, its shell, its completion. Not for fields (`jsonform`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import InvalidArgument
from actors.schemas.rpcs import RPCS
from actors.suggest import nearest

if TYPE_CHECKING:
    from actors.schemas.rpcs import Rpc

__all__ = ["find_rpc"]

_PLAIN = str.maketrans("", "", "_-. ")


def find_rpc(name: str) -> Rpc:
    """The call that `name` means. Raises: InvalidArgument, with the nearest right name."""
    service, _, method = name.rpartition("/")
    rpc = _BY_KEY.get(_key(method))
    if rpc is not None and service in ("", rpc.service):
        return rpc
    like = nearest(_key(method), _BY_KEY)
    hint = f"; did you mean {_BY_KEY[like].method}?" if like else ""
    raise InvalidArgument(
        f"found {name[:80]!r}, expected a call of the Kata agent API{hint}", field="rpc", found=name[:80]
    )


def _key(name: str) -> str:
    return name.translate(_PLAIN).lower()


_BY_KEY = {_key(method): rpc for method, rpc in RPCS.items()}
