"""The ``concilium`` command: starts a mesh on this machine and talks to one, here or elsewhere."""
