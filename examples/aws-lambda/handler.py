"""A store in AWS Lambda: the handler of the function is `handler.handler`."""

from workertown_kv import kv
from workertown_kv.hosts.aws_lambda import lambda_handler

# Lambda passes on 6 MB at most, and bytes are a third larger as base64. A load balancer passes on
# 1 MB: then let this be 700_000.
MOST_BYTES = 4_000_000

# KV_DB is the URL of a database that the function reaches over a network: Upstash, DynamoDB, ….
server = kv(limits={"value_bytes": MOST_BYTES, "batch_bytes": MOST_BYTES})
handler = lambda_handler(server)
