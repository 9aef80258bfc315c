"""Messages: what a person is told, and how far it got."""
