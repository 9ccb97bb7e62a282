"""Where scenarios run: on this machine, in simulation, or with a foreign system or agent; and what each one lacks."""
