"""Adapters as files: bundles, what is refused of them, export for engines, composition.

Arrays are numpy's, of the extra ``adapters``; nothing here imports a framework or runs what a file holds.
"""
