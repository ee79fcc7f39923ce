"""Rented nodes: the mesh's certificate authority, the link between home and a node, and both of its ends.

A link is mutual TLS 1.3, whoever dials. On every connection home speaks first and says what it wants of the node: one
of its agents, or a word with the node itself. Nothing a node says opens anything at home.
"""
