"""The simulated world: everything of the product above its seams, in virtual time, as a function of one seed.

For the command line, tests and, later, chaos: `run` plays one seed, `scenarios` a scenario on one or many.
Not for proving anything about kernels, runtimes or nng: those are what is replaced.
"""
