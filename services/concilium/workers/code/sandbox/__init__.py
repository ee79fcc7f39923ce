"""Sandboxes for scripts that nobody has read: rungs, limits, probing.

Needs the standard library only and imports within itself, so that it can be carried to another
machine or user and tried there.
"""
