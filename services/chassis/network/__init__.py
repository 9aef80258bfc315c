"""Addresses of settings, and HTTP to other systems."""
