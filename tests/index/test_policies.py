"""Rules about what is offered: how they are written, what they mean, where they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from creamery.contract import ProjectName
from creamery.index.policies import Policy
from creamery.policy_rules import NoRule, PolicyRule, kind_of, split_rules
from creamery.settings import SettingsError, load_settings
from tests.doubles.running import JSON, RunningHub
from tests.doubles.upstream import Upstream

DEMO = ProjectName("demo")
SDIST, WHEEL, EGG = "demo-1.0.tar.gz", "demo-1.0-py3-none-any.whl", "demo-1.0-py2.7.egg"


def withheld(filename: str, *, allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> bool:
    return Policy(allow, deny).why_withheld(DEMO, filename) is not None


@pytest.mark.parametrize(
    ("rule", "name", "versions", "kind"),
    [
        ("evil-*", "evil-*", None, None),
        ("Django<4.2", "django", "<4.2", None),
        ("django >= 4, < 4.2", "django", "<4.2,>=4", None),
        ("*  kind=sdist", "*", None, "sdist"),
        ("Zope.Interface==5.* kind=other", "zope-interface", "==5.*", "other"),
        ("a~=1.4", "a", "~=1.4", None),
        ("a!=1", "a", "!=1", None),
        ("?", "?", None, None),
    ],
)
def test_a_rule_says_which_names_versions_and_kinds_it_means(
    rule: str, name: str, versions: str | None, kind: str | None
) -> None:
    parsed = PolicyRule.parse(rule)

    assert (parsed.name, parsed.kind) == (name, kind)
    assert (None if parsed.versions is None else str(parsed.versions)) == versions


@pytest.mark.parametrize(
    "text",
    ["", "django 4.2", "django=4.2", "django<", "django<x", "kind=sdist", "* kind=egg", "* kind=", "a[b]", "-a", "ä*"],
)
def test_what_is_no_rule_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(NoRule, match=r"`evil-\*`, `django<4\.2`, `\* kind=sdist`"):
        PolicyRule.parse(text)


@pytest.mark.parametrize("setting", ["allow", "deny"])
def test_a_wrong_rule_ends_the_start_with_its_name_and_the_remedy(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CREAMERY_INDEX_{setting.upper()}", "fine, django 4.2")

    with pytest.raises(SettingsError, match=rf"index\.{setting}.*django 4\.2.*is no rule: write a pattern"):
        load_settings(data=tmp_path)


def test_the_environment_has_several_rules_and_commas_within_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREAMERY_INDEX_DENY", "evil-*, django>=4, <4.2 kind=sdist,six\n* kind=other")

    assert load_settings(data=tmp_path).index.deny == ("evil-*", "django>=4, <4.2 kind=sdist", "six", "* kind=other")
    assert split_rules(" , ") == []


@pytest.mark.parametrize(
    ("filename", "kind"),
    [
        (WHEEL, "wheel"),
        *((f"demo-1.0{ending}", "sdist") for ending in (".tar.gz", ".zip", ".tgz", ".tar.bz2", ".tar.Z", ".tar.lzma")),
        (EGG, "other"),
        ("demo-1.0.win32.exe", "other"),
        ("DEMO-1.0.TAR.GZ", "sdist"),
    ],
)
def test_a_files_kind_is_told_by_its_names_end(filename: str, kind: str) -> None:
    assert kind_of(filename) == kind


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, [False, False, False]),
        ({"deny": ("demo",)}, [True, True, True]),
        ({"deny": ("d*",)}, [True, True, True]),
        ({"deny": ("other",)}, [False, False, False]),
        ({"deny": ("* kind=sdist",)}, [True, False, False]),
        ({"deny": ("demo<2",)}, [True, True, True]),
        ({"deny": ("demo>1",)}, [False, False, False]),
        ({"deny": ("demo<2 kind=wheel",)}, [False, True, False]),
        ({"allow": ("demo",)}, [False, False, False]),
        ({"allow": ("other",)}, [True, True, True]),
        ({"allow": ("* kind=wheel",)}, [True, False, True]),
        ({"allow": ("demo kind=wheel", "demo==1.0 kind=sdist")}, [False, False, True]),
        ({"allow": ("demo",), "deny": ("* kind=sdist",)}, [True, False, False]),  # deny wins
        ({"allow": ("demo==1.0",), "deny": ("demo==1.0",)}, [True, True, True]),
    ],
)
def test_rules_withhold_files_by_name_version_and_kind(rules: dict[str, Any], expected: list[bool]) -> None:
    assert [withheld(filename, **rules) for filename in (SDIST, WHEEL, EGG)] == expected


@pytest.mark.parametrize("version", ["1.0rc1", "1.0.dev3", "1.0a1"])
def test_pre_releases_count_like_all_versions(version: str) -> None:
    assert withheld(f"demo-{version}.tar.gz", deny=("demo<2",))
    assert not withheld(f"demo-{version}.tar.gz", allow=("demo<2",))


def test_a_version_that_cannot_be_read_is_denied_by_any_version_rule_and_allowed_by_none() -> None:
    odd = "demo-really_old.tar.gz"

    assert withheld(odd, deny=("demo<2",))
    assert withheld(odd, allow=("demo<2",))
    assert not withheld(odd, deny=("demo<2 kind=wheel",))
    assert not withheld(odd, allow=("demo",))
    assert "cannot be read" in str(Policy((), ("demo<2",)).why_withheld(DEMO, odd))
    assert "cannot be read" in str(Policy(("demo<2",), ()).why_withheld(DEMO, odd))


def test_a_name_is_withheld_as_a_whole_only_where_no_file_of_it_could_be_offered() -> None:
    def whole(allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> bool:
        return Policy(allow, deny).why_name_withheld(DEMO) is not None

    assert whole(deny=("demo",))
    assert whole(allow=("other",))
    assert not whole(deny=("demo<2",))
    assert not whole(deny=("demo kind=wheel",))
    assert not whole(allow=("demo<2",))


def hub_with(upstream: Upstream, data: Path, **rules: tuple[str, ...]) -> RunningHub:
    return RunningHub(data, index={"upstreams": [upstream.url], **rules})


@pytest.mark.parametrize("rules", [{"deny": ("demo",)}, {"allow": ("dep",)}], ids=["denied", "not allowed"])
def test_a_name_that_is_withheld_as_a_whole_is_asked_of_nobody(
    upstream: Upstream, tmp_path: Path, rules: dict[str, tuple[str, ...]]
) -> None:
    with hub_with(upstream, tmp_path, **rules) as hub:
        answers = [
            hub.get(path)
            for path in ("/simple/demo/", "/i/demo/", f"/i/demo/{WHEEL}", f"/i/demo/{WHEEL}.metadata", "/simple/dep/")
        ]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 404, 200]
    assert all(f"index.{next(iter(rules))}" in answer.json()["detail"] for answer in answers[:4])
    assert upstream.count("/simple/demo") == 0


def test_a_rule_holds_for_page_and_address_in_both_formats_and_for_the_list_of_versions(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.add("demo", "2.0", "sdist")
    with hub_with(upstream, tmp_path, deny=("demo<1.1", "* kind=sdist")) as hub:
        page = hub.page("demo")
        html = hub.get("/simple/demo/", accept="text/html").text
        refused = [hub.get(f"/i/demo/{name}") for name in (WHEEL, f"{WHEEL}.metadata", "demo-2.0.tar.gz")]
        served = [hub.get(f"/i/demo/demo-1.1-py3-none-any.whl{end}") for end in ("", ".metadata")]

    assert [file["filename"] for file in page["files"]] == ["demo-1.1-py3-none-any.whl"]
    assert page["versions"] == ["1.1"]
    assert "demo-1.1-py3-none-any.whl" in html
    assert WHEEL not in html
    assert "demo-2.0.tar.gz" not in html
    assert [answer.status_code for answer in (*refused, *served)] == [404, 404, 404, 200, 200]
    assert ["demo<1.1" in answer.json()["detail"] for answer in refused] == [True, True, False]
    assert "* kind=sdist" in refused[2].json()["detail"]


def test_versions_stay_as_upstream_has_them_where_no_rule_withholds_a_file(upstream: Upstream, tmp_path: Path) -> None:
    with hub_with(upstream, tmp_path, deny=("other", "demo<0.5")) as hub:
        page = hub.page("demo")

    assert page["versions"] == ["1.0", "1.1"]


def test_a_file_that_came_before_the_rule_is_withheld_and_comes_back_with_its_end(
    upstream: Upstream, tmp_path: Path
) -> None:
    with hub_with(upstream, tmp_path) as hub:
        content = hub.download("demo", WHEEL)
    with hub_with(upstream, tmp_path, deny=("demo==1.0",)) as hub:
        upstream.stop()
        refused = hub.get(f"/i/demo/{WHEEL}")
        offline = hub.get("/simple/demo/", accept=JSON).json()
        upstream.start()
    with hub_with(upstream, tmp_path, deny=("demo",)) as hub:
        listed = hub.get("/simple/", accept=JSON).json()["projects"]
    with hub_with(upstream, tmp_path) as hub:
        again = hub.get(f"/i/demo/{WHEEL}")

    assert refused.status_code == 404
    assert offline["files"] == []
    assert listed == []
    assert again.content == content
