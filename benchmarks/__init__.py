"""Figures of katrio against their baselines; `scripts/bench` runs them. Not part of the installed package."""
