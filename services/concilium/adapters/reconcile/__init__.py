"""The reconciler: what engines should serve against what they do, proven by a probe."""
