"""The agent runtime: an agent's manifest and module become an A2A service."""
