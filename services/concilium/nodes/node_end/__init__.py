"""The node's end of the link: what runs on a rented machine. It asks nothing of home."""
