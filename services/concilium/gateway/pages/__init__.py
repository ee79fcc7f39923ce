"""The task pages: server-rendered, live by server-sent events, usable without scripts."""
