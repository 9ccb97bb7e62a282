"""Ray: an actor in a worker process of the same machine."""

from __future__ import annotations

from typing import Any

import ray

from benchmarks.peers.turns import ARGS, serve


class Echo:
    """Answers with what it got."""

    def echo(self, args: Any) -> Any:
        return args


if __name__ == "__main__":
    ray.init(
        num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR", object_store_memory=80_000_000
    )
    actor = ray.remote(Echo).remote()
    serve(lambda: ray.get(actor.echo.remote(ARGS)))
    ray.shutdown()
