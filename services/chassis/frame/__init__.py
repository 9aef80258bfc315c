"""nameko on asyncio: containers, entry points, servers."""
