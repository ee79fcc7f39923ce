"""Other machines, as network namespaces of this one, behind wires that a test makes slow, lossy or dead."""

from support.hosts.host import Host, Hosts, why_not

__all__ = ["Host", "Hosts", "why_not"]
