"""Cloudflare's APIs: the REST API, and the workerd binding for `env.KV`."""
