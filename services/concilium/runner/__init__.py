"""The runner: takes the queue's hint, claims a step, calls the agent over A2A, commits the outcome."""
