"""Other actor systems doing the same ask, each a script that measures itself in a process of its own.

`python -m benchmarks.peers.NAME`, run by the interpreter that `scripts/bench --peers` sets up. A script writes
`ready`, then answers each line (a number of round trips) with their median in us. Imports nothing of katrio's.
"""
