"""Canaries: who gets one, what is seen of it, and when it is a regression."""
