"""The process with a server's imports done, from which visitors' servers are forked with their keepers."""
