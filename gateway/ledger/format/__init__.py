"""The formats that everybody can parse: trees, notes, checkpoints, tiles, leaves, heads, proofs. They need nothing of ours."""
