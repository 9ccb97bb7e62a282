"""The cases, a module for each family; `actors.conformance.catalogue` has them all."""
