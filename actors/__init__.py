"""katrio: the virtcontainers agent interface as a Trio actor system.

The public interface is `actors.api`; this package itself imports nothing, so that the command line starts fast.
"""

__all__ = ["VERSION"]

VERSION = "0.1.0"
