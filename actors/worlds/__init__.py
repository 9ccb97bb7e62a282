"""Where scenarios run: on this machine, in simulation, or at what somebody else serves; and what each one lacks."""
