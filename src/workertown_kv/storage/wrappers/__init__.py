"""Put storages around other storages: a cache, the scopes of a user, an audit log."""
