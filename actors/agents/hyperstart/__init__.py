"""The hyperstart agent: the old guest agent of runv and virtcontainers, over its control and stream channels.

Imports nothing: a configuration is read long before it is known which agent is wanted.
"""
