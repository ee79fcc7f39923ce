"""Everything that enters from outside: keys, requests, events, the runner API, callbacks; `app.py` mounts it all."""
