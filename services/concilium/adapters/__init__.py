"""Adapters: LoRAs for one base model, versioned, content-addressed, signed.

Bundles and what is refused of them, export and composition; `trust`, whom to believe; `guard`, when a private view of
the world may speak. Arrays are numpy's, of the extra ``adapters``; nothing here imports a framework or runs what a file
holds.
"""
