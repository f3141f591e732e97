"""The page at `/`, for a person with a browser.

`document` is the whole; each section has its module. Nothing is loaded from elsewhere, nothing but
`refresh.js` is executed, and whatever comes from outside is escaped by `markup`, without exception.
"""

from pg_pool_exporter.web.page.document import CONTENT_SECURITY_POLICY, Place, document

__all__ = ["CONTENT_SECURITY_POLICY", "Place", "document"]
