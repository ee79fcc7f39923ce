"""n8n beside the mesh: installed from a lock file, given its credential and workflows, kept running."""
