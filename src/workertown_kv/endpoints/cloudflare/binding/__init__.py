"""Serve `endpoints.cloudflare.binding`: the protocol that workerd speaks for `env.KV`.

workerd has only the client side (its `src/workerd/api/kv.c++`). It sends every request to the root
of a host, with a header field of its own, which marks its requests at any path. Its configuration
adds the header fields with the credentials and the namespace.
"""

from .routes import Binding

__all__ = ["Binding"]
