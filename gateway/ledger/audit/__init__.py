"""What judges a log from outside, over HTTP."""
