"""By what a message leaves the house: one module for each channel, over one port."""
