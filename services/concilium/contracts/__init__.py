"""The words of the mesh as pydantic models and pure functions: no I/O, no imports of other rooms."""
