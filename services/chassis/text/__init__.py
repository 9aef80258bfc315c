"""What people write, read in one way: names, contacts, codes, words to search, sizes."""
