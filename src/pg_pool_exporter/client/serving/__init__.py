"""Serves the process's metrics: unix socket, HTTP port, WSGI, ASGI, siblings' pages."""
