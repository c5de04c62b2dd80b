"""Keep entries in etcd, reached over its JSON gateway.

`docs/storages/etcd.md` has the layout.
"""

from .storage import EtcdStorage

__all__ = ["EtcdStorage"]
