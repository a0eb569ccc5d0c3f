"""Wire codecs of the agents: sans-IO, standard library only."""
