"""The model of a province's day: for the demo, load tests and tests."""
