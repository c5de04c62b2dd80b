"""Cloudflare's doors: for the clients of its REST API, and for `env.KV` in its Workers runtime."""
