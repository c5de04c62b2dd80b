"""Share what the storages behind Cloudflare's REST API do alike: Workers KV, and D1."""
