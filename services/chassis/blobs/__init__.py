"""Files as blobs: the port, a folder, a bucket, sealed, unfinished."""
