"""A small kernel of simulated processes: pure, in steps, told the time; knows no Trio and draws only what it is given."""
