"""From a requirement to its proofs and back: what `docs/conformance/` is generated from."""
