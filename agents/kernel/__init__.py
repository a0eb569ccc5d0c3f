"""Effects on the node's own kernel, shared by the protocol families: netlink, nftables, radvd, sockets."""

from agents.kernel.slim import slim

slim("pyroute2")
