"""The formats that everybody can parse: trees, notes, checkpoints, tiles, leaves, heads, proofs. They need nothing of ours.

Each has one form: `parse` accepts exactly what `format` gives, and raises FormatError for anything else. A verifier is written
as its `vkey`, a tile's name as its `path`: the specifications' words.
"""
