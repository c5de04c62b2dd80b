"""Make the events that AWS makes of requests, in the form that AWS has published.

The events differ in who decodes the path, who joins header fields, and when a body is base64.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

ADDRESS = "203.0.113.178"


class Request(msgspec.Struct):
    method: str
    path: str
    """Return the path as the client sends it, percent-encoded."""
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Answer(msgspec.Struct):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return msgspec.json.decode(self.body)["data"]


def rest_api(request: Request) -> dict[str, Any]:
    """Emulates a REST API of API Gateway, with `*/*` among its binary media types."""
    parameters = parse_qs(request.query, keep_blank_values=True)
    return {
        "resource": "/{proxy+}",
        "path": request.path,
        "httpMethod": request.method,
        "headers": _common(request, "70ixmpl4fl.execute-api.us-east-2.amazonaws.com"),
        "multiValueHeaders": {
            name: [value]
            for name, value in _common(
                request, "70ixmpl4fl.execute-api.us-east-2.amazonaws.com"
            ).items()
        },
        "queryStringParameters": {name: one[-1] for name, one in parameters.items()} or None,
        "multiValueQueryStringParameters": parameters or None,
        "pathParameters": {"proxy": request.path[1:]},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "70ixmpl4fl",
            "domainName": "70ixmpl4fl.execute-api.us-east-2.amazonaws.com",
            "extendedRequestId": "JKJaXmPLvHcESHA=",
            "httpMethod": request.method,
            "identity": {"sourceIp": ADDRESS, "userAgent": "curl/8.5.0", "user": None},
            "path": f"/prod{request.path}",
            "protocol": "HTTP/1.1",
            "requestId": "b66e5fe1-3ef3-4a29-9a5b-8e1f7f2f1d5e",
            "requestTime": "10/Mar/2026:05:16:23 +0000",
            "requestTimeEpoch": 1773119783,
            "resourceId": "2gxmpl",
            "resourcePath": "/{proxy+}",
            "stage": "prod",
        },
        **_body(request, always=True),
    }


def http_api_1(request: Request) -> dict[str, Any]:
    """Emulates an HTTP API of API Gateway, with payloads of format 1.0."""
    event = rest_api(request)
    path = _decoded_by_http_api(request.path)
    return {**event, "version": "1.0", "path": path, **_body(request, always=False)}


def http_api_2(request: Request) -> dict[str, Any]:
    """Emulates an HTTP API of API Gateway, with payloads of format 2.0."""
    domain = "r3pmxmplak.execute-api.us-east-2.amazonaws.com"
    return _format_2(request, domain, _decoded_by_http_api(request.path))


def function_url(request: Request) -> dict[str, Any]:
    """Emulates a function URL."""
    domain = "6dxmplbk7lkx5l2tyegmrsn7ty0kqxmp.lambda-url.us-east-2.on.aws"
    return _format_2(request, domain, request.path)


def load_balancer(request: Request) -> dict[str, Any]:
    """Emulates an Application Load Balancer. It decodes nothing, and passes on every address."""
    headers = {
        **{name.lower(): value for name, value in request.headers.items()},
        "host": "lambda-846800462-us-east-2.elb.amazonaws.com",
        "user-agent": "curl/8.5.0",
        "x-amzn-trace-id": "Root=1-5bdb40ca-556d8b0c50dc66f0511bf520",
        "x-forwarded-for": f"198.51.100.1, {ADDRESS}",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    pairs = [pair.partition("=") for pair in request.query.split("&") if pair]
    return {
        "requestContext": {
            "elb": {
                "targetGroupArn": "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/"
                "lambda-279XGJDqGZ5rsrHC2Fjr/49e9d65c45c6791a"
            }
        },
        "httpMethod": request.method,
        "path": request.path,
        "queryStringParameters": {name: value for name, _, value in pairs},
        "headers": headers,
        **_body(request, always=False),
    }


def load_balancer_multi_value(request: Request) -> dict[str, Any]:
    """Emulates a load balancer whose target group has multi-value headers turned on."""
    event = load_balancer(request)
    event["multiValueHeaders"] = {name: [one] for name, one in event.pop("headers").items()}
    single = event.pop("queryStringParameters")
    event["multiValueQueryStringParameters"] = {name: [one] for name, one in single.items()}
    return event


def cloud_front(request: Request) -> dict[str, Any]:
    """Emulates Lambda@Edge, at an origin request, with the body included."""
    headers = {"Host": "d123.cf.net", "X-Forwarded-For": ADDRESS, **request.headers}
    return {
        "Records": [
            {
                "cf": {
                    "config": {
                        "distributionDomainName": "d111111abcdef8.cloudfront.net",
                        "distributionId": "EDFDVBD6EXAMPLE",
                        "eventType": "origin-request",
                        "requestId": "4TyzHTaYWb1GX1qTfsHhEqV6HUDd_BzoBZnwfnvQc_1oF26ClkoUSEQ==",
                    },
                    "request": {
                        "clientIp": ADDRESS,
                        "headers": {
                            name.lower(): [{"key": name, "value": value}]
                            for name, value in headers.items()
                        },
                        "method": request.method,
                        "origin": {"custom": {"domainName": "example.org", "port": 443}},
                        "querystring": request.query,
                        "uri": request.path,
                        "body": {
                            "action": "read-only",
                            "data": b64encode(request.body).decode(),
                            "encoding": "base64",
                            "inputTruncated": False,
                        },
                    },
                }
            }
        ]
    }


EVENTS: Mapping[str, Callable[[Request], dict[str, Any]]] = {
    one.__name__: one
    for one in (
        rest_api,
        http_api_1,
        http_api_2,
        function_url,
        load_balancer,
        load_balancer_multi_value,
        cloud_front,
    )
}


def answered(result: Mapping[str, Any]) -> Answer:
    """Return the answer that the client gets for the result of a function."""
    if "bodyEncoding" in result:
        assert isinstance(result["status"], str)
        fields = {name: many[0]["value"] for name, many in result["headers"].items()}
        is_base64 = result["bodyEncoding"] == "base64"
        return Answer(int(result["status"]), fields, _bytes(result["body"], is_base64))
    many = result.get("multiValueHeaders") or {}
    fields = {**(result.get("headers") or {}), **{name: one[0] for name, one in many.items()}}
    return Answer(result["statusCode"], fields, _bytes(result["body"], result["isBase64Encoded"]))


def _format_2(request: Request, domain: str, path: str) -> dict[str, Any]:
    query = parse_qs(request.query, keep_blank_values=True)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.query,
        "headers": _common(request, domain),
        **({"queryStringParameters": {k: ",".join(v) for k, v in query.items()}} if query else {}),
        "requestContext": {
            "accountId": "123456789012",
            "apiId": domain.partition(".")[0],
            "domainName": domain,
            "domainPrefix": domain.partition(".")[0],
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": ADDRESS,
                "userAgent": "curl/8.5.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "10/Mar/2026:05:16:23 +0000",
            "timeEpoch": 1773119783583,
        },
        **_body(request, always=False),
    }


def _common(request: Request, host: str) -> dict[str, str]:
    return {
        "accept": "*/*",
        **{name.lower(): value for name, value in request.headers.items()},
        "content-length": str(len(request.body)),
        "host": host,
        "user-agent": "curl/8.5.0",
        "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
        "x-forwarded-for": ADDRESS,
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }


def _body(request: Request, *, always: bool) -> dict[str, Any]:
    """Text stays as it is, unless all media types count as binary; the rest is base64."""
    content_type = request.headers.get("Content-Type", "")
    if not request.body:
        return {"body": None, "isBase64Encoded": False}
    if always or not content_type.startswith(("application/json", "text/")):
        return {"body": b64encode(request.body).decode(), "isBase64Encoded": True}
    return {"body": request.body.decode(), "isBase64Encoded": False}


def _decoded_by_http_api(path: str) -> str:
    """It decodes the path, and then takes the text after a `?` for the query."""
    return unquote(path).partition("?")[0]


def _bytes(body: str, is_base64: bool) -> bytes:
    return b64decode(body) if is_base64 else body.encode()
