"""The kata agent: the Kata Containers agent API, today's over ttRPC or 1.x's over gRPC; `client` has its raw calls.

Imports nothing: a configuration is read long before it is known which agent is wanted.
"""
