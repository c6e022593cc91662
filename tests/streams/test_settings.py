import shutil
import ssl
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from models.brands import ALWAYS, FIRST_ANSWER, Minutes, Shift
from models.errors import Misconfigured
from models.reps import AS_EVER, Team, WideningStep, WorkKind
from streams.settings import ENGINE, VARIABLES, Secret, Settings, client_options, faust_credentials, load, with_secret

BRAND = """
[[tenant.brand]]
id = "fennkom"
name = "Fennkom"
handles = ["@Fennkom"]
"""
LEVEL = "[tenant.brand.service_level]\n"
TENANT = '[[tenant]]\nid = "main"\n'
REP = '[[tenant.rep]]\nid = "anna"\n'
VALID = TENANT + BRAND + LEVEL
SECRET = "s3cr3t" * 8


def settings_of(tmp_path: Path, text: str = VALID, **env: str) -> Settings:
    path = tmp_path / "zuruf.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, env)


def complaint(tmp_path: Path, text: str = VALID, **env: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        settings_of(tmp_path, text, **env)
    return str(caught.value).replace(f"{tmp_path}/", "")


# -- what is read ---------------------------------------------------------------------------------------------------


def test_the_least_file_has_the_documented_defaults(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    brand = settings.tenants[0].brands[0]

    assert (settings.embedded, settings.offer_s, settings.lease_s, settings.grace_s) == (True, 30, 10, 30)
    assert (settings.session_s, settings.group_every_ms, settings.webhook_age_s) == (10, 20, 300)
    assert (settings.gateway_host, settings.gateway_port, settings.data) == ("127.0.0.1", 0, Path(".zuruf"))
    assert brand.service_level.first_answer == FIRST_ANSWER == Minutes(5, 15, 60, 240)
    assert (brand.handles, brand.hours, brand.influence, brand.horizon_days) == (("Fennkom",), ALWAYS, True, 7)


def test_a_whole_brand_is_read(tmp_path: Path) -> None:
    text = (
        VALID
        + """urgent_min = 10
warn_share = 0.5
[tenant.brand.service_level.next_answer]
less_min = 120
[tenant.brand.service_level.resolution]
important_min = 1440
[tenant.brand.service_level.platforms.x]
at_once_min = 0.5
[tenant.brand.hours]
zone = "Europe/Berlin"
mon-tue = ["08:00-12:00", "13:00-18:00"]
sat = "22:00-06:00"
holidays = [2026-12-25, "2026-12-24"]
[tenant.brand.tone]
address = "informal"
[[tenant.rep]]
id = "anna"
skills = { "lang:de" = 5, "brand:fennkom" = 1, "subject:billing" = 3 }
capacity = 6
simulated = true
"""
    )
    tenant = settings_of(tmp_path, text).tenants[0]
    level, hours = tenant.brands[0].service_level, tenant.brands[0].hours

    assert level.first_answer == Minutes(5, 10, 60, 240)
    assert level.next_answer == Minutes(5, 10, 60, 120)
    assert level.resolution == Minutes(important=1440)
    assert level.platforms["x"].first_answer == Minutes(0.5, 10, 60, 240)
    assert (level.platforms["x"].next_answer, level.platforms["x"].warn_share) == (level.next_answer, 0.5)
    assert hours.week == (
        Shift(0, 480, 720),
        Shift(0, 780, 1080),
        Shift(1, 480, 720),
        Shift(1, 780, 1080),
        Shift(5, 1320, 1800),
    )
    assert hours.holidays == ("2026-12-24", "2026-12-25")
    assert tenant.brands[0].tone.address == "informal"
    assert (tenant.reps[0].capacity, tenant.reps[0].simulated, tenant.reps[0].skills["lang:de"]) == (6, True, 5)


@pytest.mark.parametrize(("days", "weekdays"), [("fri-mon", [0, 4, 5, 6]), ("wed", [2]), ("mon-sun", list(range(7)))])
def test_days_may_be_a_range_over_the_weekend(tmp_path: Path, days: str, weekdays: list[int]) -> None:
    text = f'{VALID}[tenant.brand.hours]\nzone = "UTC"\n{days} = "08:00-09:00"\n'

    assert [shift.weekday for shift in settings_of(tmp_path, text).tenants[0].brands[0].hours.week] == weekdays


def test_the_environment_goes_before_the_file_and_the_file_before_the_default(tmp_path: Path) -> None:
    text = VALID + "[engine]\noffer_s = 20\ngrace_s = 7.5\n"

    settings = settings_of(tmp_path, text, ZURUF_OFFER_S="12.5", ZURUF_LEASE_S="")

    assert (settings.offer_s, settings.grace_s, settings.lease_s) == (12.5, 7.5, 10)


def test_every_field_has_a_docstring_that_was_written() -> None:
    source = Path(__file__).parents[2].joinpath("streams/settings.py").read_text(encoding="utf-8")

    for name in Settings.__struct_fields__:
        after = source.split(f"\n    {name}: ", 1)[1].split("\n")[1]
        assert after.strip().startswith('"""'), name


def test_every_number_has_a_range_and_a_default_within_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)

    for name in ENGINE:
        _, meta = get_args(Settings.__annotations__[name])
        assert meta.ge <= getattr(settings, name) <= meta.le, name
        assert f"ZURUF_{name.upper()}" in VARIABLES


# -- what is refused ------------------------------------------------------------------------------------------------

HOURS = VALID + '[tenant.brand.hours]\nzone = "Europe/Berlin"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "zuruf.toml: tenant: missing, wanted at least one [[tenant]]"),
        ("[tenant]\nid = 'a'", "zuruf.toml: tenant: found {'id': 'a'}, wanted an array of tables, [[tenant]]"),
        (TENANT, "zuruf.toml: tenant[0].brand: missing, wanted at least one [[tenant.brand]]"),
        (
            TENANT + BRAND,
            "zuruf.toml: tenant[0].brand[0].service_level: missing, wanted a table of minutes by triage, "
            "[tenant.brand.service_level]; it may be empty",
        ),
        ("[[tenant]]\nname = 'x'" + BRAND, "zuruf.toml: tenant[0].id: missing, wanted a text"),
        (VALID.replace('"main"', '"a|b"'), "tenant[0].id: found 'a|b', wanted 1 to 64 ASCII letters"),
        (VALID.replace("handles", "handels"), "tenant[0].brand[0].handels: unknown key; did you mean handles?"),
        (VALID + "[enigne]\n", "zuruf.toml: enigne: unknown key; did you mean engine?"),
        (VALID + "[engine]\noffer = 3\n", "zuruf.toml: engine.offer: unknown key; did you mean offer_s?"),
        (VALID + "[engine]\noffer_s = '3'\n", "engine.offer_s: found '3', wanted a number from 1 to 3600"),
        (VALID + "[engine]\noffer_s = 0\n", "engine.offer_s: found 0, wanted a number from 1 to 3600"),
        (VALID + "[engine]\noffer_s = nan\n", "engine.offer_s: found nan, wanted a number from 1 to 3600"),
        (VALID + "[engine]\nculprits_max = 2.5\n", "engine.culprits_max: found 2.5, wanted a whole number from 1 to"),
        (VALID + "[engine]\noffer_s = true\n", "engine.offer_s: found True, wanted a number"),
        (VALID + "[engine]\ngroup_every_ms = 1000\n", "engine.group_every_ms: found 1000, wanted less than a tenth"),
        (VALID + "[engine]\nbatch_bytes_max = 2048\n", "engine.batch_bytes_max: found 2048, wanted at least body_"),
        (VALID.replace('["@Fennkom"]', '"x"'), "tenant[0].brand[0].handles: found 'x', wanted a list of at most"),
        (VALID.replace('["@Fennkom"]', '["a", 7]'), "tenant[0].brand[0].handles[1]: found 7, wanted a text of 1 to"),
        (VALID.replace('["@Fennkom"]', '["a b"]'), "tenant[0].brand[0].handles[0]: found 'a b', wanted a handle"),
        (VALID.replace('"Fennkom"\n', '" "\n'), "tenant[0].brand[0].name: found ' ', wanted a text of 1 to 100"),
        (
            VALID + BRAND.replace('"fennkom"', '"two"').replace("@Fennkom", "FENNKOM") + LEVEL,
            "tenant[0].brand[1].handles: found 'FENNKOM', wanted a handle of its own; tenant[0].brand[0] (fennkom)",
        ),
        (VALID + BRAND + LEVEL, "tenant[0].brand[1].id: found 'fennkom', wanted an id of its own; tenant[0].brand[0]"),
        (VALID + VALID, "tenant[1].id: found 'main', wanted an id of its own; tenant[0] has it already"),
        (VALID + REP + REP, "tenant[0].rep[1].id: found 'anna', wanted an id of its own; tenant[0].rep[0]"),
        (VALID + "urgnt_min = 5\n", "brand[0].service_level.urgnt_min: unknown triage; did you mean urgent_min?"),
        (VALID + "urgent_min = -5\n", "service_level.urgent_min: found -5, wanted a number from 0 to 525600"),
        (VALID + "urgent_min = 0\n", "service_level.urgent_min: found 0, wanted minutes above 0"),
        (VALID + "spam_min = 5\n", "service_level.spam_min: unknown triage"),
        (VALID + "warnshare = 1\n", "service_level.warnshare: unknown key; did you mean warn_share?"),
        (VALID + "[tenant.brand.service_level.platforms]\nx = 5\n", "platforms.x: found 5, wanted a table, [tenant.br"),
        (VALID.replace(LEVEL, 'hours = "never"\n' + LEVEL), "brand[0].hours: found 'never', wanted \"always\" or a t"),
        (VALID + "[tenant.brand.hours]\nmon = '8:00-9:00'\n", "brand[0].hours.zone: missing, wanted a text"),
        (HOURS.replace("Berlin", "Bärlin"), "hours.zone: found 'Europe/Bärlin', wanted an IANA zone, as in Europe/B"),
        (HOURS.replace("Europe/Berlin", "Europe"), "hours.zone: found 'Europe', wanted an IANA zone"),
        (HOURS.replace("Europe/Berlin", "../etc"), "hours.zone: found '../etc', wanted an IANA zone"),
        (HOURS, "brand[0].hours: found {'zone': 'Europe/Berlin'}, wanted at least one day"),
        (HOURS + 'mon = "8-20"\n', "brand[0].hours.mon: found '8-20', wanted hours as in \"08:00-20:00\""),
        (HOURS + 'mon = "08:00-24:01"\n', "brand[0].hours.mon: found '08:00-24:01', wanted hours"),
        (HOURS + 'mon = "08:60-09:00"\n', "brand[0].hours.mon: found '08:60-09:00', wanted hours"),
        (HOURS + 'mon = "08:00-08:00"\n', "brand[0].hours.mon: found '08:00-08:00', wanted hours"),
        (HOURS + "mon = 8\n", "brand[0].hours.mon: found 8, wanted hours as in"),
        (HOURS + 'mom = "08:00-20:00"\n', "brand[0].hours.mom: unknown key; did you mean mon?"),
        (
            HOURS + 'mon = "22:00-06:00"\ntue = "05:00-09:00"\n',
            "brand[0].hours: found 'mon 22:00-06:00 and tue 05:00-09:00', wanted shifts that do not overlap",
        ),
        (HOURS + 'mon = "8:00-9:00"\nholidays = ["25.12."]\n', "hours.holidays[0]: found '25.12.', wanted a date"),
        (VALID + REP + "capacity = 0\n", "tenant[0].rep[0].capacity: found 0, wanted a whole number from 1 to 64"),
        (VALID + REP + "capacity = 65\n", "tenant[0].rep[0].capacity: found 65, wanted a whole number from 1 to 64"),
        (VALID + REP + 'skills = { "lang:de" = 6 }\n', "rep[0].skills.lang:de: found 6, wanted a whole number from 1"),
        (VALID + REP + 'skills = { "lang:xx" = 1 }\n', "rep[0].skills.lang:xx: found 'xx', wanted a language, one of"),
        (VALID + REP + 'skills = { "brand:x" = 1 }\n', "skills.brand:x: found 'x', wanted a brand of this tenant, one"),
        (VALID + REP + 'skills = { "german" = 1 }\n', 'rep[0].skills.german: unknown kind of skill, wanted "lang:'),
        (VALID.replace(LEVEL, 'languages = ["xx"]\n' + LEVEL), "brand[0].languages[0]: found 'xx', wanted one of de"),
        (VALID.replace(LEVEL, "influence = 1\n" + LEVEL), "brand[0].influence: found 1, wanted true or false"),
        (VALID.replace(LEVEL, "influence_cap = 9\n" + LEVEL), "influence_cap: found 9, wanted a number from 1 to 4"),
    ],
)
def test_a_fault_is_named_with_its_key_what_was_found_and_what_was_meant(
    tmp_path: Path, text: str, message: str
) -> None:
    assert message in complaint(tmp_path, text)


def test_a_slip_of_toml_is_named_with_its_line(tmp_path: Path) -> None:
    assert "zuruf.toml: not TOML" in complaint(tmp_path, "[[tenant]]\nid = \n")
    assert "line 2" in complaint(tmp_path, "[[tenant]]\nid = \n")


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"gone\.toml: cannot be read: No such file or directory"):
        load(tmp_path / "gone.toml", {})
    (tmp_path / "odd.toml").write_bytes(b"name = '\xfc'")
    with pytest.raises(Misconfigured, match=r"odd\.toml: not UTF-8: byte 8 is 0xfc"):
        load(tmp_path / "odd.toml", {})
    (tmp_path / "big.toml").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    with pytest.raises(Misconfigured, match="wanted at most 4194304"):
        load(tmp_path / "big.toml", {})


# -- the environment ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "addresses"),
    [
        ("", ()),
        ("kafka://a:9093", ("a:9093",)),
        ("kafka://a:1,b:2", ("a:1", "b:2")),
        ("kafka://a, kafka://b:2/", ("a:9092", "b:2")),
        ("kafka://[::1]:9", ("[::1]:9",)),
        ("kafka://[::1]", ("[::1]:9092",)),
    ],
)
def test_the_brokers_addresses_are_read(tmp_path: Path, given: str, addresses: tuple[str, ...]) -> None:
    assert settings_of(tmp_path, ZURUF_BROKER=given).broker == addresses


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"ZURUF_BROKER": "localhost:9092"}, "environment: ZURUF_BROKER: found 'localhost:9092', wanted kafka://host"),
        ({"ZURUF_BROKER": "kafka://a:0"}, "ZURUF_BROKER: found 'kafka://a:0'"),
        ({"ZURUF_BROKER": "kafka://a:x"}, "ZURUF_BROKER: found 'kafka://a:x'"),
        ({"ZURUF_BROKER": "kafka://a,,b"}, "ZURUF_BROKER: found 'kafka://a,,b'"),
        ({"ZURUF_BROKER": "kafka://::1:9"}, "ZURUF_BROKER: found 'kafka://::1:9'"),
        ({"ZURUF_BROKER_SASL": "GSSAPI"}, "ZURUF_BROKER_SASL: found 'GSSAPI', wanted PLAIN, SCRAM-SHA-256, SCRAM-SHA"),
        ({"ZURUF_BROKER_CA": "/gone.pem"}, "ZURUF_BROKER_CA: found '/gone.pem', wanted a PEM file that can be read"),
        ({"ZURUF_BROKER_TLS": "maybe"}, "ZURUF_BROKER_TLS: found 'maybe', wanted 1 or 0"),
        ({"ZURUF_BROKER_TLS": "1"}, "ZURUF_BROKER: missing; TLS and SASL are for a broker of your own"),
        ({"ZURUF_BROKER_USER": "u"}, "ZURUF_BROKER_SASL: missing, wanted because a user or password is set"),
        ({"ZURUF_BROKER_SASL": "PLAIN"}, "ZURUF_BROKER_USER: missing, wanted because ZURUF_BROKER_SASL is set"),
        ({"ZURUF_GATEWAY_PORT": "65536"}, "ZURUF_GATEWAY_PORT: found '65536', wanted a whole number from 0 to 65535"),
        ({"ZURUF_OFFER_S": "soon"}, "ZURUF_OFFER_S: found 'soon', wanted a number from 1 to 3600"),
        ({"ZURUF_OFFER_S": "nan"}, "ZURUF_OFFER_S: found 'nan', wanted a number from 1 to 3600"),
        ({"ZURUF_SECRET": "short"}, "ZURUF_SECRET: found 5 characters, wanted at least 32"),
    ],
)
def test_a_faulty_variable_is_named(tmp_path: Path, env: dict[str, str], message: str) -> None:
    assert message in complaint(tmp_path, **env)


def test_a_plain_password_never_leaves_the_machine_in_the_clear(tmp_path: Path) -> None:
    env = {"ZURUF_BROKER_SASL": "PLAIN", "ZURUF_BROKER_USER": "u", "ZURUF_BROKER_PASSWORD": "p"}

    assert "would go to far.example:9092 in the clear" in complaint(tmp_path, ZURUF_BROKER="kafka://far.example", **env)
    assert settings_of(tmp_path, ZURUF_BROKER="kafka://localhost,[::1]", **env).broker_user == "u"
    assert settings_of(tmp_path, ZURUF_BROKER="kafka://far.example", ZURUF_BROKER_TLS="1", **env).broker_tls


def test_no_secret_is_printed(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        ZURUF_SECRET=SECRET,
        ZURUF_BROKER="kafka://a",
        ZURUF_BROKER_SASL="SCRAM-SHA-256",
        ZURUF_BROKER_USER="u",
        ZURUF_BROKER_PASSWORD="hunter2",
    )

    for shown in (repr(settings), str(settings), f"{settings}", repr(settings.secret), f"{settings.broker_password}"):
        assert SECRET not in shown
        assert "hunter2" not in shown
    assert settings.secret.reveal() == SECRET
    assert "short-one" not in complaint(tmp_path, ZURUF_SECRET="short-one")
    assert "hunter2" not in complaint(tmp_path, ZURUF_BROKER="kafka://u:hunter2@a")


def test_secrets_are_equal_by_their_text() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")
    assert Secret("a") != "a"


def test_a_secret_that_was_not_given_is_made_once_and_kept(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, ZURUF_DATA=str(tmp_path / "data"))

    first, second = with_secret(settings), with_secret(settings)

    assert first.secret == second.secret
    assert len(first.secret.reveal()) >= 32
    assert (tmp_path / "data" / "secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret"]
    assert with_secret(settings_of(tmp_path, ZURUF_SECRET=SECRET)).secret.reveal() == SECRET


def test_a_kept_secret_that_is_cut_off_is_named(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, ZURUF_DATA=str(tmp_path))
    (tmp_path / "secret").write_text("short")

    with pytest.raises(Misconfigured, match="secret: found 5 characters, wanted at least 32; remove the file"):
        with_secret(settings)
    with pytest.raises(Misconfigured, match=r"ZURUF_DATA: found .*zuruf\.toml'"):
        with_secret(settings_of(tmp_path, ZURUF_DATA=str(tmp_path / "zuruf.toml")))


def test_a_door_open_to_others_needs_a_given_secret(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, ZURUF_GATEWAY_HOST="0.0.0.0", ZURUF_DATA=str(tmp_path))

    with pytest.raises(Misconfigured, match=r"ZURUF_SECRET: missing, wanted because ZURUF_GATEWAY_HOST is 0\.0\.0\.0"):
        with_secret(settings)


# -- what clients are given -----------------------------------------------------------------------------------------


def test_a_plain_broker_needs_no_credentials(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, ZURUF_BROKER="kafka://a")

    assert client_options(settings) == {"security_protocol": "PLAINTEXT"}
    assert faust_credentials(settings) is None


@pytest.mark.parametrize(("tls", "protocol"), [("0", "SASL_PLAINTEXT"), ("1", "SASL_SSL")])
def test_a_sign_in_is_passed_to_both_clients(tmp_path: Path, tls: str, protocol: str) -> None:
    settings = settings_of(
        tmp_path,
        ZURUF_BROKER="kafka://a",
        ZURUF_BROKER_TLS=tls,
        ZURUF_BROKER_SASL="scram-sha-512",
        ZURUF_BROKER_USER="u",
        ZURUF_BROKER_PASSWORD="p",
    )
    options, credentials = client_options(settings), faust_credentials(settings)

    assert options["security_protocol"] == protocol
    assert (options["sasl_mechanism"], options["sasl_plain_username"]) == ("SCRAM-SHA-512", "u")
    assert options["sasl_plain_password"] == "p"
    assert isinstance(options.get("ssl_context"), ssl.SSLContext) is (tls == "1")
    assert credentials is not None
    assert credentials.protocol.value == protocol
    assert credentials.mechanism.value == "SCRAM-SHA-512"


def test_certificates_are_loaded_and_host_names_checked(tmp_path: Path) -> None:
    cert, key = _certificate(tmp_path)
    env = {"ZURUF_BROKER": "kafka://a", "ZURUF_BROKER_CA": cert, "ZURUF_BROKER_CERT": cert, "ZURUF_BROKER_KEY": key}

    options = client_options(settings_of(tmp_path, **env))
    context = options["ssl_context"]

    assert options["security_protocol"] == "SSL"
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1
    assert faust_credentials(settings_of(tmp_path, **env)) is not None


def test_a_file_that_holds_no_certificate_is_named(tmp_path: Path) -> None:
    cert, _ = _certificate(tmp_path)
    odd = tmp_path / "odd.pem"
    odd.write_text("nothing")

    with pytest.raises(Misconfigured, match=r"ZURUF_BROKER_CA: found .*odd\.pem"):
        client_options(settings_of(tmp_path, ZURUF_BROKER="kafka://a", ZURUF_BROKER_CA=str(odd)))
    with pytest.raises(Misconfigured, match=r"ZURUF_BROKER_CERT: found .*odd\.pem"):
        env = {"ZURUF_BROKER_CA": cert, "ZURUF_BROKER_CERT": str(odd)}
        client_options(settings_of(tmp_path, ZURUF_BROKER="kafka://a", **env))
    assert "ZURUF_BROKER_CERT: missing" in complaint(tmp_path, ZURUF_BROKER="kafka://a", ZURUF_BROKER_KEY=cert)


def _certificate(folder: Path) -> tuple[str, str]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command here, which makes the certificate of this test")
    cert, key = folder / "cert.pem", folder / "key.pem"
    words = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=a -keyout {key} -out {cert}"
    subprocess.run([openssl, *words.split()], check=True, capture_output=True)
    return str(cert), str(key)


# -- teams, kinds of work, widening, four eyes -----------------------------------------------------------------------

TEAM = '[[tenant.team]]\nid = "night"\ndepartment = "billing"\nsite = "kiel"\n'
KIND = '[[tenant.kind]]\nid = "chat"\nplatforms = ["chat"]\nunits = 2\nidle_frees_s = 120\nwrapup_s = 15\n'


def test_teams_kinds_and_steps_are_read(tmp_path: Path) -> None:
    text = TENANT + "forward_s = 60\nreopen_h = 24\n" + BRAND + "approval = true\n" + LEVEL + TEAM + KIND
    text += "[[tenant.widening]]\nafter_s = 0\nlang_level = 3\n[[tenant.widening]]\nafter_s = 60\n"
    text += REP + 'teams = ["night"]\nkind_units = { chat = 4 }\napproval = true\napproves = true\npulls = false\n'
    (tenant,) = settings_of(tmp_path, text).tenants

    assert tenant.teams == (Team("night", "night", "billing", "kiel"),)
    assert tenant.kinds == (WorkKind("chat", ("chat",), "", 2, 120.0, 15.0),)
    assert tenant.widening == (WideningStep(0.0, {"lang": 3}), WideningStep(60.0, {}))
    assert (tenant.forward_s, tenant.reopen_h, tenant.brands[0].approval) == (60.0, 24.0, True)
    rep = tenant.reps[0]
    assert (rep.teams, rep.kind_units) == (("night",), {"chat": 4})
    assert (rep.approval, rep.approves, rep.pulls) == (True, True, False)


def test_a_file_that_says_nothing_of_them_works_as_ever(tmp_path: Path) -> None:
    (tenant,) = settings_of(tmp_path, VALID + REP).tenants

    assert (tenant.teams, tenant.kinds, tenant.widening, tenant.forward_s, tenant.reopen_h) == ((), (), AS_EVER, 900, 0)
    rep = tenant.reps[0]
    assert (rep.teams, rep.kind_units, rep.approval, rep.approves, rep.pulls) == ((), {}, False, False, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (REP + 'teams = ["day"]\n', "tenant[0].rep[0].teams[0]: found 'day', wanted a team of this tenant, of which"),
        (TEAM + REP + 'teams = ["day"]\n', "teams[0]: found 'day', wanted a team of this tenant, one of night"),
        (KIND + REP + "kind_units = { mail = 1 }\n", "rep[0].kind_units.mail: found 'mail', wanted a kind of this"),
        (KIND + KIND, "tenant[0].kind[1].id: found 'chat', wanted an id of its own"),
        (KIND.replace("units = 2", "units = 0"), "tenant[0].kind[0].units: found 0, wanted"),
        (KIND + 'visibility = "secret"\n', "kind[0].visibility: found 'secret', wanted public, private or both"),
        ("[[tenant.widening]]\nafter_s = 5\n", "tenant[0].widening[0].after_s: found 5, wanted 0: the first step"),
        (
            "[[tenant.widening]]\nafter_s = 0\n[[tenant.widening]]\nafter_s = 0\n",
            "tenant[0].widening[1].after_s: found 0, wanted more than the 0 of the step before",
        ),
        ("[[tenant.widening]]\nafter_s = 0\nlang_level = 6\n", "widening[0].lang_level: found 6, wanted"),
        ("[[tenant.widening]]\nafter_s = 0\nmood_level = 1\n", "tenant[0].widening[0].mood_level: "),
    ],
)
def test_what_cannot_be_meant_is_named(tmp_path: Path, text: str, said: str) -> None:
    assert said in complaint(tmp_path, VALID + text)
