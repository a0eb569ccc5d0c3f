"""Labs, and everything that may know all rooms: the runner, the command line, the benchmarks."""
