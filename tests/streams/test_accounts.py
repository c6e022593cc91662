"""The accounts of zuruf.toml."""

from pathlib import Path

import pytest

from models.brands import Account
from models.errors import Misconfigured
from streams.configuration import read_toml, tenants_of

BRANDS = '[[tenant]]\nid = "acme"\n' + "".join(
    f'[[tenant.brand]]\nid = "{one}"\nname = "{one}"\n[tenant.brand.service_level]\n' for one in ("bahn", "bus")
)


def accounts_of(tmp_path: Path, text: str) -> tuple[Account, ...]:
    file = tmp_path / "zuruf.toml"
    file.write_text(BRANDS + text)
    return tenants_of(read_toml(file))[0].accounts


def test_accounts_are_read_with_all_they_have(tmp_path: Path) -> None:
    text = """
    [[tenant.account]]
    id = "crm"
    connector = "webhook"
    callback = "https://example.org/answers"
    secret_env = "CRM_SECRET"
    text_max = 500
    [[tenant.account]]
    id = "page"
    connector = "chat"
    brand = "bahn"
    """

    assert accounts_of(tmp_path, text) == (
        Account("crm", "webhook", callback="https://example.org/answers", secret_env="CRM_SECRET", text_max=500),
        Account("page", "chat", brand="bahn"),
    )


HOOK = '[[tenant.account]]\nid = "a"\nconnector = "webhook"\n'
CHAT = '[[tenant.account]]\nid = "c"\nconnector = "chat"\nbrand = "bahn"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (HOOK, "account[0].secret_env: missing"),
        (HOOK + 'secret_env = "whsec_+/="', "account[0].secret_env: found 'something else'"),
        (HOOK + 'secret_env = "S"\ncallback = "ftp://x/y"', "account[0].callback: found 'ftp://x/y'"),
        (HOOK + 'secret_env = "S"\ncallback = "http:///y"', "account[0].callback: found"),
        (HOOK + 'secret_env = "S"\nbrand = "bahm"', "account[0].brand: found 'bahm'"),
        (HOOK + 'secret_env = "S"\ntext_max = -1', "account[0].text_max: found -1"),
        (HOOK + 'secret_env = "S"\ncallbak = ""', "account[0].callbak: unknown key; did you mean callback?"),
        ('[[tenant.account]]\nid = "a"\nconnector = "fax"', "account[0].connector: found 'fax'"),
        ('[[tenant.account]]\nid = "a"\nconnector = "chat"', "account[0].brand: missing"),
        (CHAT + 'callback = "https://x/y"', "account[0].callback: found"),
        (CHAT + CHAT, "account[1].id: found 'c'"),
        (CHAT + CHAT.replace('"c"', '"d"'), "account[1].brand: found 'bahn'"),
    ],
)
def test_a_wrong_account_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        accounts_of(tmp_path, text)

    assert f"tenant[0].{complaint}" in str(caught.value)


def test_a_secret_in_the_place_of_its_variable_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        accounts_of(tmp_path, HOOK + 'secret_env = "whsec_c2VjcmV0+c2VjcmV0"')

    assert "c2VjcmV0" not in str(caught.value)
