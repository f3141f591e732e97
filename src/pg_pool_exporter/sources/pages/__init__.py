"""Metrics pages of applications, our own and foreign ones: fetched, parsed, and mapped to pools.

`app_page` and `socket_source` say where a page is, `text_source` fetches it, `reading` makes
samples of it, by the tables of `series`. Jolokia has no page, but MBeans.
"""
