"""The real servers of `./rialto up`, as child processes; each can be replaced by a URL."""
