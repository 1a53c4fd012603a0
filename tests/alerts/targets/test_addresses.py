"""Webhooks go to public addresses, unless the owner lists others."""

from ipaddress import ip_address, ip_network

import pytest

from alerts.targets.addresses import AddressRefused, check_url, pinned

PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/x",
        "ftp://hooks.example/x",
        "https://",
        "https:///x",
        "https://user:pass@hooks.example/",
        "https://hooks.example:99999/",
        "https://hooks.example:0/",
        "https://[::1/",
        "http://10.0.0.1/",
        "hooks.example",
    ],
)
def test_only_plain_https_urls_are_taken(url: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        check_url(url, allow_insecure_loopback=True)
    assert "pass" not in str(caught.value).replace("password", "")


def test_http_is_allowed_on_this_machine_if_the_owner_says_so() -> None:
    assert check_url("http://127.0.0.1:8080/x", allow_insecure_loopback=True).port == 8080
    assert check_url("http://localhost/x", allow_insecure_loopback=True).hostname == "localhost"
    with pytest.raises(AddressRefused, match="must begin with https://"):
        check_url("http://127.0.0.1:8080/x")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "ff0e::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ],
)
def test_inner_addresses_are_refused_however_they_are_written(address: str) -> None:
    with pytest.raises(AddressRefused, match="not public"):
        pinned("hooks.example", 443, allowed=(), loopback=False, resolve=lambda host, port: [PUBLIC, address])


def test_the_first_of_good_addresses_is_the_one_to_connect_to() -> None:
    found = pinned(
        "hooks.example", 443, allowed=(), loopback=False, resolve=lambda host, port: [PUBLIC, "2606:4700::1111"]
    )
    assert found == ip_address(PUBLIC)


def test_the_owner_may_list_inner_networks() -> None:
    inner = (ip_network("10.0.0.0/8"),)
    found = pinned("hooks.corp", 443, allowed=inner, loopback=False, resolve=lambda host, port: ["10.1.2.3"])
    assert found == ip_address("10.1.2.3")
    with pytest.raises(AddressRefused):
        pinned("hooks.corp", 443, allowed=inner, loopback=False, resolve=lambda host, port: ["10.1.2.3", "192.168.0.1"])


def test_a_host_without_an_address_is_an_error_of_the_network() -> None:
    with pytest.raises(OSError, match="no address"):
        pinned("hooks.example", 443, allowed=(), loopback=False, resolve=lambda host, port: [])
