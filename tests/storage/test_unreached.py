"""Test that the reason why a server could not be reached names no address."""

import ssl

import pytest

from workertown_kv.storage.unreached import because


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            "Hostname mismatch, certificate is not valid for 'redis.internal'.",
            "Hostname mismatch",
        ),
        (
            "IP address mismatch, certificate is not valid for '10.0.0.7'.",
            "IP address mismatch",
        ),
        ("self-signed certificate", "self-signed certificate"),
    ],
)
def test_a_certificate_for_another_host_names_no_address(message: str, reason: str) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = message
    assert because(error) == f" (its certificate is not trusted: {reason})"
