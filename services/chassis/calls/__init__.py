"""What a call carries, and how it is refused."""
