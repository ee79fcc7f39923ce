"""Home's end of the link: a port on this machine for every agent of every node, and the care for the nodes."""
