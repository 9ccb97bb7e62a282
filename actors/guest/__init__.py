"""The embedded guest: the far side of an agent connection, shipped with katrio.

A *service* speaks an agent's protocol, a *model* (pure) holds containers, processes and allowed transitions, and an
*engine* runs them. Runs in its own process and knows no host actor.
"""
