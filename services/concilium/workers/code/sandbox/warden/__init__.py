"""The program inside: sets a run up, watches it, ends it, hands its files out.

It is a package of its own, run as ``python -I -S -c`` with only its own folder's parent on the path, so
that inside a sandbox nothing else of the project needs to be readable. It imports the standard library alone.
"""
