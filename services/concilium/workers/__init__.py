"""Worker agents: one runtime for all, and the code of each agent beside it."""
