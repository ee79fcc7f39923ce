"""Kills, freezes and starves a mesh of real processes under a seeded schedule, then checks that nothing was lost."""
