"""The cases, one module per family; `actors.conformance.catalogue` lists all."""
