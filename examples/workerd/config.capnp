# A Worker with its `env.LINKS` in a workertown-kv server at port 8787.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "links", worker = .links),
    (name = "kv", external = (
      address = "127.0.0.1:8787",
      http = (injectRequestHeaders = [
        (name = "Authorization", value = "Bearer secret"),
        # The title or id of a namespace. This one is always there.
        (name = "X-KV-Namespace", value = "default"),
      ]),
    )),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8080", http = (), service = "links")],
);

const links :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-04-26",
  bindings = [(name = "LINKS", kvNamespace = "kv")],
);
