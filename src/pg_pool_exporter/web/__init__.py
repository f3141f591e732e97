"""The HTTP server: connections, users, endpoints, the page at `/` and the JSON API."""
