"""What callers see: routes, keys, what goes over the wire, and the server itself."""
