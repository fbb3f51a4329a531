"""Who may open the page: the file of accounts, the command that makes its lines, and the limits on tries."""

import asyncio
import hashlib
import re
from base64 import b64decode

import pytest
from fastapi import HTTPException
from ports import free_port

from app import accounts
from app.accounts import ADDRESS, MOST_TRIES, Accounts, hashed, is_password, read_accounts
from app.serve import main
from reaugkd.errors import ReAugKDError

LINE = hashed("correct horse")


@pytest.fixture
def quick(monkeypatch):
    """Compare passwords without scrypt."""
    monkeypatch.setattr(accounts, "is_password", lambda password, kept: password == kept)


def tried(who, name, password, address="10.0.0.1"):
    async def once():
        ADDRESS.set(address)
        return await who.let_in(name, password)

    return asyncio.run(once())


def typing(monkeypatch, *passwords):
    typed = iter(passwords)
    monkeypatch.setattr(accounts.getpass, "getpass", lambda _: next(typed))


def test_the_line_that_the_command_prints_lets_in_its_password_and_no_other(tmp_path, monkeypatch, capsys):
    typing(monkeypatch, "cölon:space ", "cölon:space ")
    assert main(["--password", "ada"]) == 0
    line = capsys.readouterr().out
    assert "space" not in line
    (tmp_path / "who").write_text(f"# the course\n{line}\n\n", encoding="utf-8-sig")
    who = read_accounts(tmp_path / "who")
    assert [tried(who, "ada", given) for given in ("cölon:space ", "cölon:space", "", "ada")] == [True, *[False] * 3]
    assert not tried(who, "grace", "cölon:space ")


def test_a_hash_is_scrypts_of_the_salt_and_the_settings_in_its_line_and_no_salt_comes_twice():
    _, name, settings, salt, said = LINE.split("$")
    assert (name, settings) == ("scrypt", "ln=14,r=8,p=5")
    assert b64decode(said) == hashlib.scrypt(b"correct horse", salt=b64decode(salt), n=2**14, r=8, p=5, dklen=32)
    assert hashed("correct horse") != LINE
    again = f"$scrypt$ln=10,r=8,p=1${salt}$"
    other = accounts._hashed("correct horse", b64decode(salt), 10, 1)
    assert other.startswith(again)
    assert is_password("correct horse", other)


def test_hashes_are_compared_in_a_time_that_does_not_depend_on_where_they_differ(monkeypatch):
    compared = []
    monkeypatch.setattr(accounts.hmac, "compare_digest", lambda *both: compared.append(both) or False)
    assert not is_password("correct horse", LINE)  # by nothing else
    assert [kept for _, kept in compared] == [LINE]


@pytest.mark.parametrize(
    ("name", "typed", "sentence"),
    [
        ("a:b", (), "'a:b' is no name for an account"),
        (" ada", (), "' ada' is no name for an account"),
        ("#ada", (), "is no name for an account"),
        ("ada", ("short",), "at least 8 characters"),
        ("ada", ("long enough", "long enouch"), "The two passwords differ; run the command again"),
    ],
)
def test_what_makes_no_account_ends_with_one_sentence(name, typed, sentence, monkeypatch, capsys):
    typing(monkeypatch, *typed)
    assert main(["--password", name]) == 1
    said = capsys.readouterr()
    assert sentence in said.err
    assert (said.err.count("\n"), said.out) == (1, "")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "There is no file"),
        ("# nobody\n", "names nobody"),
        ("ada:one\n", "Account 1 of"),
        (f"ada:{LINE}\ngrace:secret\n", "Account 2 of"),
        (f"ada:{LINE.replace('ln=14', 'ln=30')}\n", "Account 1 of"),  # a gigabyte of memory for each try
        (f"ada:{LINE.replace('scrypt', 'md5')}\n", "Account 1 of"),
        (f"ada:{LINE[:-9]}\n", "Account 1 of"),
        (f":{LINE}\n", "Account 1 of"),
    ],
    ids=["missing", "empty", "plain", "one plain", "too dear", "another hash", "cut", "no name"],
)
def test_a_file_without_hashed_passwords_ends_with_one_sentence(tmp_path, content, sentence, capsys):
    if content is not None:
        (tmp_path / "who").write_text(content)
    with pytest.raises(ReAugKDError, match=sentence) as refused:
        read_accounts(tmp_path / "who")
    assert content is None or "`reaugkd app --password NAME >> FILE`" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert main(["--auth", str(tmp_path / "who"), "--port", str(free_port())]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_name_that_nobody_has_costs_as_much_as_a_wrong_password(monkeypatch):
    costs = []
    scrypt = hashlib.scrypt
    monkeypatch.setattr(accounts.hashlib, "scrypt", lambda *given, **how: costs.append(how) or scrypt(*given, **how))
    who = Accounts({"ada": LINE})
    costs.clear()
    assert [tried(who, "ada", "wrong"), tried(who, "nobody", "wrong")] == [False, False]
    known, unknown = ({name: value for name, value in how.items() if name != "salt"} for how in costs)
    assert known == unknown


def test_after_several_wrong_passwords_even_the_right_one_waits_and_then_is_let_in(quick):
    now = [0.0]
    who = Accounts({"ada": "right"}, "x", accounts.TTLCache(100, accounts.WAIT_S, timer=lambda: now[0]))
    for _ in range(MOST_TRIES["address"]):
        assert not tried(who, "ada", "wrong")
    with pytest.raises(HTTPException, match=re.escape(accounts.WAITS)) as refused:
        tried(who, "ada", "right")
    assert refused.value.status_code == 429
    assert tried(who, "ada", "right", "10.0.0.2")  # from elsewhere
    now[0] = accounts.WAIT_S - 1
    with pytest.raises(HTTPException):
        tried(who, "ada", "wrong")  # what is refused does not make the wait longer
    now[0] = accounts.WAIT_S + 1
    assert tried(who, "ada", "right")


def test_a_name_that_many_addresses_try_waits_but_not_where_its_person_has_logged_in(quick):
    who = Accounts({"ada": "right", "dan": "his"}, "x")
    assert tried(who, "ada", "right", "10.9.9.9")
    for number in range(MOST_TRIES["name"]):
        assert not tried(who, "ada", "wrong", f"10.0.1.{number}")
    with pytest.raises(HTTPException):
        tried(who, "ada", "right", "10.0.2.1")
    assert tried(who, "ada", "right", "10.9.9.9")
    assert tried(who, "dan", "his", "10.0.2.1")


def test_logging_in_as_oneself_does_not_give_more_tries_at_others(quick):
    who = Accounts({"ada": "right", "eve": "hers"}, "x")
    for _ in range(MOST_TRIES["address"]):
        assert not tried(who, "ada", "wrong")
        if MOST_TRIES["address"] > who.wrong["address", "10.0.0.1"]:
            assert tried(who, "eve", "hers")
    with pytest.raises(HTTPException):
        tried(who, "ada", "right")


def test_tries_that_come_at_once_are_counted(quick):
    who = Accounts({"ada": "right"}, "x")

    async def at_once():
        ADDRESS.set("10.0.0.1")
        tries = (who.let_in("ada", "wrong") for _ in range(5 * MOST_TRIES["address"]))
        return await asyncio.gather(*tries, return_exceptions=True)

    said = asyncio.run(at_once())
    assert said.count(False) == MOST_TRIES["address"]
    assert sum(isinstance(one, HTTPException) for one in said) == 4 * MOST_TRIES["address"]


def test_it_opens_to_this_machine_alone_and_says_so_where_it_opens_to_others(monkeypatch, capsys):
    from app import serve

    hosts = []
    monkeypatch.setattr(serve, "build_app", lambda *_, **__: type("Page", (), {"close": print, "block_thread": print}))
    monkeypatch.setattr(serve, "launch", lambda _, host, *__, **___: hosts.append(host) or "http://there")
    monkeypatch.setattr(serve.ModelJob, "start", lambda _: None)
    for arguments, times in (([], 0), (["--host", "localhost"], 0), (["--host", "0.0.0.0"], 1)):
        main(arguments)
        said = capsys.readouterr().out
        assert said.count("Anyone who reaches this machine can use the page and save models") == times
    assert hosts == ["127.0.0.1", "localhost", "0.0.0.0"]
