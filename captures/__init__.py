"""Wire truth: recording, decoding, checks, timelines, reports. Imports no other room."""
