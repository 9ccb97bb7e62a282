"""The simulated world: everything of the product above its seams, in virtual time, determined by one seed.

For the command line, tests and chaos runs; `run` simulates one function with one seed. It proves nothing about kernels,
runtimes or nng: those are replaced.
"""
