"""The central mobility database: PBU relay of RFC 8885 §3.2, or the repository of the direct mode."""
