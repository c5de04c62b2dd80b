"""Have an error for type checkers in each statement."""

import workertown_kv
from workertown_kv import kv
from workertown_kv.options import (
    ApiKeyCredential,
    ApiKeyOptions,
    CacheOptions,
    LimitsOptions,
    OptionsDict,
)

kv(bse_path="/")
workertown_kv.missing()
kv({"bse_path": "/"})
kv({"limits": {"value_byte": 1}})
kv({"base_path": 1}, limits={})
kv(base_path=1)
kv(limits={"value_byte": 1})
kv(limits={"value_bytes": "25MB"})
kv(limits=CacheOptions())
kv(limits=LimitsOptions(value_bytes="25MB"))
kv(auth={"api_key": ApiKeyOptions(api_key=1)})
kv(auth={"api_key": {"api_keys": [ApiKeyCredential(api_key="k")]}})
kv(auth=False)
kv(auth={"api_key": "s3cret"})
kv(auth={"api_key": {"api_keys": [{"api_key": "k"}]}})
kv(auth={"api_key": {"api_keys": [{"name": "a", "scopes": [{"verbs": ["reed"]}]}]}})
kv(access={"ip": "10.0.0.1"})
kv(access={"rate_limit": {"by": "key"}})
kv(logger=True)
kv(get_env={"KV_DB": "memory://"})
options: OptionsDict = {"basePath": "/"}
workertown_kv.Client("kv.sqlite").set("theme")
workertown_kv.Client("kv.sqlite").set(5, "dark")
workertown_kv.Client("kv.sqlite").get("theme", ttl=60)
workertown_kv.Client(5)
workertown_kv.AsyncClient("kv.sqlite").set("theme", "dark", ttl="60")
