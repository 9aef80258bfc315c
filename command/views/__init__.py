"""`motcua rebuild`, `migrate`, `parked`."""
