"""One notebook: from its source, by the cache or by a kernel, to files in place."""
