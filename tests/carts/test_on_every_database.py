"""A cart from its list to its bundle, on each database."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from creamery.blobs import Audit, Depth
from creamery.carts.tables import least_recently_used
from creamery.clock import Micros
from creamery.hub import offline_holders
from tests.carts.conftest import FILES
from tests.databases import KINDS, create_tables, empty_database
from tests.doubles.carting import carting_hub, entry, post, ready, wait_for


@pytest.mark.parametrize("kind", KINDS)
def test_a_cart_on_each_database(kind: str, tmp_path: Path, folder: Path) -> None:
    entries = [entry(name, content=content) for name, content in FILES.items()]
    many = {f"many/{number}": b"%d" % number for number in range(1_200)}
    (folder / "many").mkdir()
    for name, content in many.items():
        (folder / name).write_bytes(content)
    with empty_database(kind, tmp_path) as url:
        create_tables(url)
        with carting_hub(tmp_path / "data", folder, database_url=url) as hub:
            uid = ready(hub, entries)
            again = ready(hub, [entry(name, f"again/{name}", content, "sha256") for name, content in FILES.items()])
            large = ready(hub, [entry(name) for name in many])
            failed = post(hub, [entry("small.txt"), entry("nowhere")])
            assert wait_for(hub, failed).status_code == 500
            hub.client.post(f"{hub.base}/carts/{failed}/fix")
            assert wait_for(hub, failed).status_code == 500
            hub.client.delete(f"{hub.base}/{uid}")

            bundles = [hub.get(f"/{one}?filename=x.tar").content for one in (again, large)]
            built = hub.built.hub
            audit = Audit(built.settings.data, built.database, offline_holders(), built.settings.limits, built.clock)
            assert list(audit.run(Depth.DATA, lambda size: None)) == []

    for bundle, expected in zip(bundles, ({f"again/{n}": c for n, c in FILES.items()}, many), strict=True):
        with tarfile.open(fileobj=io.BytesIO(bundle)) as tar:
            found = {member.name: tar.extractfile(member) for member in tar.getmembers()}
            assert {name[2:]: file.read() for name, file in found.items() if file} == expected


@pytest.mark.parametrize("kind", KINDS)
def test_what_one_hub_sends_another_does_not_let_go(kind: str, tmp_path: Path, folder: Path) -> None:
    """It counted its own downloads alone, and so did the child process of a single hub."""
    (folder / "large").write_bytes(bytes(64 * 1024 * 1024))
    with empty_database(kind, tmp_path) as url:
        create_tables(url)
        with (
            carting_hub(tmp_path / "data", folder, database_url=url) as one,
            carting_hub(tmp_path / "data", folder, database_url=url) as two,
        ):
            uid = ready(one, [entry("large")])

            def may_go() -> list[str]:
                hub = two.built.hub
                now = Micros(hub.clock.now() + 1)
                return [cart.uid for cart in hub.database.read(lambda c: least_recently_used(c, now, now))]

            assert may_go() == [uid]
            with one.client.stream("GET", f"{one.base}/{uid}") as answer:
                pieces = answer.iter_raw(1_000)  # which ends the answer when it goes
                next(pieces)
                one.wait_until(lambda: may_go() == [])
            one.wait_until(lambda: may_go() == [uid])
