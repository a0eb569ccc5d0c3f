"""Small programs that labs run in their nodes: ordinary applications that know nothing of mobility."""
