"""The embedded guest: the far side of an agent connection, shipped with katrio.

A *service* speaks an agent's protocol, over a *model* (pure: containers, processes, and what may follow what),
over an *engine* (what really runs). Runs in a process of its own and knows no host actor.
"""
