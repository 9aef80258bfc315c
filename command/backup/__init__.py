"""`motcua backup`, `restore`, `prove`."""
