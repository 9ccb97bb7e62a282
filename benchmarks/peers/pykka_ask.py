"""Pykka: an actor on a thread of the same process."""

from __future__ import annotations

from typing import Any

import pykka

from benchmarks.peers.turns import ARGS, serve


class Echo(pykka.ThreadingActor):
    """Answers with what it got."""

    def on_receive(self, message: Any) -> Any:
        return message


if __name__ == "__main__":
    actor = Echo.start()
    serve(lambda: actor.ask(ARGS))
    actor.stop()
