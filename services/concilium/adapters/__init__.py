"""Adapters: LoRAs for one base model, versioned, content-addressed, signed."""
