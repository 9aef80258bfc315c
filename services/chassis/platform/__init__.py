"""What the services of one process share: settings, store, keys."""
