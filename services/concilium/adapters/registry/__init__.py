"""The registry of adapters: their files in a store by digest, their life in the ledger."""
