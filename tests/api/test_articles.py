"""Articles over HTTP: refusals with their place, tags, retries, and the patient's day."""

from datetime import UTC, datetime

from httpx import AsyncClient

from core.database import Sessions
from schemas.articles import EXAMPLE
from tests.services.caring import care


async def test_an_article_goes_from_the_draft_to_the_patient_who_reads_it(
    client: AsyncClient, sessions: Sessions
) -> None:
    ward = await care(sessions, now=datetime.now(UTC))
    bob, alice = ward.world.headers["bob"], ward.world.headers["alice"]
    for wrong, place in (({"sources": []}, "/sources"), ({"extra": 1}, "/extra")):
        refused = await client.post("/v1/articles", headers=bob, json=EXAMPLE | wrong)
        assert refused.status_code == 422
        assert [one["pointer"] for one in refused.json()["errors"]] == [place]
        assert EXAMPLE["title"] not in refused.text
    without = {name: value for name, value in EXAMPLE.items() if name != "sources"}
    refused = await client.post("/v1/articles", headers=bob, json=without)
    assert [(one["pointer"], one["code"]) for one in refused.json()["errors"]] == [("/sources", "missing")]
    listed = await client.get("/v1/articles", headers=bob, params={"topic": "ergonomics"})
    assert [one["code"] for one in listed.json()["items"]] == ["ed_desk"]

    written = await client.post("/v1/articles", headers=bob, json=EXAMPLE)
    place, tag = written.headers["Location"], written.headers["ETag"]
    assert (written.status_code, written.json()["status"]) == (201, "draft")
    assert (await client.post("/v1/articles", headers=bob, json=EXAMPLE)).status_code == 409
    assert (await client.get(place, headers=alice)).status_code == 404
    assigning = f"/v1/patients/{ward.world.alice.id}/article-assignments"
    early = await client.post(assigning, headers=bob, json={"code": EXAMPLE["code"]})
    assert (early.status_code, early.json()["errors"][0]["code"]) == (422, "article_not_approved")
    assert (await client.post(f"{place}/approve", headers=bob)).status_code == 428
    assert (await client.post(f"{place}/approve", headers=bob | {"If-Match": '"9"'})).status_code == 412
    approved = await client.post(f"{place}/approve", headers=bob | {"If-Match": tag})
    assert approved.json()["approved_by_id"] == str(ward.world.bob.id)
    assert (await client.get(place, headers=alice)).json()["check_question"]["answer"] is None

    german = await client.post("/v1/articles", headers=bob, json=EXAMPLE | {"language": "de", "title": "Aufstehen"})
    await client.post(f"{german.headers['Location']}/approve", headers=bob | {"If-Match": german.headers["ETag"]})
    spoken = {"Accept-Language": "pl, de-AT;q=0.9, en;q=0.8"}
    for reader, languages in ((alice, ["de"]), (bob, ["en", "en", "de"])):  # staff miss no translation
        heard = await client.get("/v1/articles", headers=reader | spoken, params={"topic": "ergonomics"})
        shown = [one["language"] for one in heard.json()["items"]]
        assert sorted(shown) == sorted(languages)
        assert heard.headers["content-language"] == ", ".join(sorted(set(shown)))
        assert heard.headers["vary"] == "Accept-Language"
    shipped = f"/v1/articles/{listed.json()['items'][0]['id']}"
    await client.post(
        f"{shipped}/approve", headers=bob | {"If-Match": (await client.get(shipped, headers=bob)).headers["ETag"]}
    )
    first = await client.get("/v1/articles", headers=alice | spoken, params={"limit": 1})
    onward = {"limit": 1, "cursor": first.json()["next_cursor"]}
    assert (await client.get("/v1/articles", headers=alice | spoken, params=onward)).json()["next_cursor"] is None
    strange = await client.get("/v1/articles", headers=alice, params=onward)
    assert (strange.status_code, strange.json()["code"]) == (422, "unknown_cursor"), (
        "without the languages it is another list"
    )

    once = bob | {"Idempotency-Key": "once"}
    given = await client.post(assigning, headers=once, json={"code": EXAMPLE["code"]})
    again = await client.post(assigning, headers=once, json={"code": EXAMPLE["code"]})
    assert (given.status_code, again.json()) == (201, given.json())
    assert (await client.post(assigning, headers=bob, json={"code": EXAMPLE["code"]})).status_code == 409
    (waiting,) = (await client.get("/v1/me/today", headers=alice)).json()["articles"]
    assert waiting["assignment_id"] == given.json()["id"]
    assert (await client.get(given.headers["Location"], headers=alice)).json()["article"]["body"] == EXAMPLE["body"]
    read = await client.post(f"{given.headers['Location']}/read", headers=alice, json={"answer": 1})
    assert (read.json()["correct"], read.json()["article"]["check_question"]["answer"]) == (True, 1)
    for later in ({"answer": 0}, None):
        twice = await client.post(f"{given.headers['Location']}/read", headers=alice, json=later)
        assert twice.json() == read.json()
    assert (await client.get("/v1/me/today", headers=alice)).json()["articles"] == []
    assert (await client.post(f"{given.headers['Location']}/read", headers=bob)).status_code == 403
    taken = await client.post(f"{given.headers['Location']}/withdraw", headers=bob | {"If-Match": read.headers["ETag"]})
    assert (taken.status_code, taken.json()["code"]) == (409, "article_was_read")
    kept = await client.get(assigning, headers=bob, params={"state": "read"})
    assert [(one["answer"], one["correct"]) for one in kept.json()["items"]] == [(1, True)]
