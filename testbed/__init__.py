"""The emulator: namespaces, nodes, links, radio cells, processes, run directories. Knows no protocol."""
