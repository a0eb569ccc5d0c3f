"""Labs of HAARO: sites of a virtual operator on consumer access lines, one home agent."""
