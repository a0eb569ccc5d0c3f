"""AERO: Asymmetric Extended Route Optimization over a virtual NBMA link (`aerod`: Client, Server, Relay)."""
