"""Words of others, in the address and in records, are words: nothing is requested, and no link appears."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote, urlsplit

import pandas as pd
import pytest
from conftest import TINY, make_run, make_transfer, tiny_config
from storage.conftest import edit_record

from smp_lab.jobs.queue import Queue
from smp_lab.paths import events_file
from smp_lab.processes import this_process
from smp_lab.storage.formats import Base, Opened
from smp_lab.storage.imported import save_imported
from smp_lab.storage.measurements import SIZE, MeasurementSettings, save_measurement
from smp_lab.storage.runs import list_runs
from smp_lab.storage.sealed import to_json
from smp_lab.storage.transfers import TRANSFERS

from . import harness

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
EVIL = "http://stranger.example/x"
WORDS = [
    f"![i]({EVIL})[l]({EVIL}) <a href='{EVIL}'>l</a><img src='{EVIL}'> www.stranger.example a@stranger.example",
    f"\u202e`</code>`{EVIL} :material/home: $\\href{{{EVIL}}}{{l}}$ &lt;a href={EVIL}&gt;",
]
PAGES = ["", "sparsity", "overlap", "history", "curves", "scores", "train", "open_mask", "cost", "try_masks"]
SCREENS = [f"learn?screen={number}" for number in range(1, 8)]


def address_keys():
    """Whatever a page or a widget may read from the address: keys that are written out, and some put together."""
    source = "".join(file.read_text() for folder in ("pages", "smp_lab/ui") for file in (ROOT / folder).rglob("*.py"))
    keys = set(re.findall(r'key="(\w+)"', source))
    for names in re.findall(r'^_?[A-Z][A-Z_, ]* = (".*")$', source, re.MULTILINE):
        keys |= set(re.findall(r'"(\w+)"', names))
    assert {"runs", "masks", "lecture", "job", "card", "try_text", "n_tasks"} <= keys
    return sorted(
        keys | {"filter_task", "row", "pair_a", "pair_b", "time_length", "snapshot", "guess_methods"} - {"screen"}
    )


# Links and pictures that lead elsewhere, with what stands around them.
_AWAY = """() => [...document.querySelectorAll('a, img, image, iframe')].filter(part => {
    const to = part.getAttribute('href') || part.getAttribute('xlink:href') || part.getAttribute('src');
    return to && !['data:', 'blob:'].some(scheme => to.startsWith(scheme))
        && new URL(to, location).host !== location.host && /stranger/.test(new URL(to, location).href.split('?')[0]);
}).map(part => part.outerHTML.slice(0, 120) + ' in ' + part.closest('[data-testid]').dataset.testid)"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Two runs whose every free field holds words of a stranger, and a folder that is no run."""
    folder = tmp_path_factory.mktemp("hostile") / "runs"
    folder.mkdir()
    (folder / WORDS[0].replace("/", "-")).mkdir()
    for seed in (0, 1, 2):
        words = {"base_model": WORDS[0], "label_words": (WORDS[0], WORDS[1] + str(seed)), "encoder_type": WORDS[1]}
        run = make_run(
            folder, seed=seed, mask_seed=seed, **{name: words[name] for name in ("base_model", "label_words")}
        )
        edit_record(run, speak)
    transfer = make_transfer(folder, run, "cola")
    record = json.loads(transfer.path.read_text())
    speak(record)
    transfer.path.write_bytes(to_json({name: value for name, value in record.items() if name != "sha256"}))
    assert not TRANSFERS.list([folder]).problems and len(list_runs([folder]).problems) == 1
    # A mask of somebody else's, and what was measured of it.
    opened = Opened(masks=run.masks, format=WORDS[0], base=Base(WORDS[0], 64 * "c", TINY), assumed=tuple(WORDS))
    mask = save_imported(folder, opened, source=WORDS[1], label=WORDS[0], task="rte")
    settings = MeasurementSettings(
        kind=SIZE,
        mask_id=mask.mask_id,
        mask_sha256=mask.mask_record.digest,
        base_model=WORDS[0],
        base_model_sha256=64 * "c",
        task="rte",
        data_sha256=None,
        options={"words": list(WORDS)},
    )
    table = pd.DataFrame({"cut": [0], "parameters": [9], "published": [10]})
    save_measurement(folder, settings=settings, provenance=dict(zip("ab", WORDS, strict=True)), table=table)
    # A run that somebody else trains here, and what the queue and its events say of it.
    queue, config = Queue(folder), tiny_config(seed=9, base_model=WORDS[0], label_words=tuple(WORDS))
    number = queue.register([WORDS[0]], WORDS[0], this_process(), config.run_id)
    queue.ends(number, "failed", " ".join(WORDS))
    queue.log_file(number).write_text("\n".join(WORDS))
    begin = {"config": config.to_dict(), "layout": asdict(TINY), "from_step": 0, "total_steps": 9, "run_id": WORDS[0]}
    events = events_file(folder, config.run_id)
    events.parent.mkdir(parents=True)
    events.write_text(json.dumps({"event": "begin", "time": 0, **begin}) + "\n")
    return folder


def speak(record):
    """Put a stranger's words into every text of its provenance, and into names where they are free."""
    provenance = record["provenance"]
    for place, name in enumerate(provenance):
        if isinstance(provenance[name], str):
            provenance[name] = WORDS[place % 2]
    provenance["packages"] = {words[:60]: words[:60] for words in WORDS}
    provenance[WORDS[0][:60]] = WORDS[1]


@pytest.fixture(scope="module")
def hostile_address(chromium, hostile, tmp_path_factory):
    log = tmp_path_factory.mktemp("hostile-server") / "log.txt"
    with harness.running_app(harness.OWN_RUNS_ALONE, hostile, log) as (address, _):
        yield address


@pytest.mark.parametrize("page", PAGES + SCREENS)
def test_nothing_is_requested_and_no_link_appears(chromium, hostile_address, page):
    query = "&".join(f"{key}={quote(WORDS[place % 2])}" for place, key in enumerate(address_keys()))
    opened = chromium.new_context(viewport={"width": 1366, "height": 900}).new_page()
    elsewhere = []
    here = urlsplit(hostile_address).netloc
    opened.on("request", lambda request: elsewhere.append(request.url) if here not in request.url else None)
    with_words = f"{page}{'&' if '?' in page else '?'}{query}"
    # A screen of the lesson shows no record but what its address names.
    for address in [with_words] if page in SCREENS else [with_words, page]:
        opened.goto(f"{hostile_address}/{address}")
        opened.wait_for_function(
            "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
            " && document.querySelector('[data-testid=stMain] h1')",
            timeout=120_000,
        )
        opened.wait_for_timeout(500)
        assert opened.evaluate(_AWAY) == []
        assert opened.locator("[data-testid=stException]").count() == 0
    # What an address cannot name comes by way of the network alone.
    assert not [url for url in elsewhere if url.startswith("http")]
    opened.context.close()
