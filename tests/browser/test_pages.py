"""Every page of the product in a real browser: wide, on a phone, dark, and on paper.

`make browser` runs this. It needs Chromium and the extra `browser`; without them it is skipped.
"""

import io
import json
import shutil
import unicodedata

import numpy as np
import pytest
from synthetic import write_dataset
from synthetic_run import ROBOTS, write_conflicts, write_run

playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
pypdf = pytest.importorskip("pypdf")

from bodyplan.evaluation.compare import compare  # noqa: E402
from bodyplan.evaluation.video import encode_webp  # noqa: E402
from bodyplan.machine import cache_folder  # noqa: E402
from bodyplan.report.comparison_page import write_comparison  # noqa: E402
from bodyplan.report.page import write_report  # noqa: E402
from bodyplan.report.reproduced_table import ReproducedTable, table_findings  # noqa: E402
from bodyplan.report.reproduction_page import PageHead, write_reproduction  # noqa: E402
from bodyplan.robots.registry import list_robots  # noqa: E402
from bodyplan.storage import write_json  # noqa: E402

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
MILLISECONDS = 180_000  # for machines that are busy
PAGES = ("four", "sixteen", "started", "older", "comparison", "reproduction")
VIEWS = {"wide": (1400, "light"), "phone": (390, "light"), "dark": (1400, "dark")}
TOO_SMALL = """
() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !parent.getClientRects().length) continue;
    if (parent.closest("script, style, noscript")) continue;
    const matrix = parent.getScreenCTM?.();
    const scale = matrix ? Math.hypot(matrix.a, matrix.b) : 1;
    const size = scale * parseFloat(getComputedStyle(parent).fontSize);
    if (size < 11.99) found.push(`${size} px: ${walker.currentNode.textContent.trim()}`);
  }
  return found;
}
"""
CUT = """
() => [...document.querySelectorAll("body *")]
  .filter((part) => part.getClientRects().length && !part.closest(".scroll, .tip, thead"))
  .filter((part) => part.getBoundingClientRect().right > innerWidth + 1)
  .map((part) => part.outerHTML.slice(0, 120))
"""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        try:
            own = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no Chromium here ({error})")
        yield own
        own.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The path of each page."""
    folder = tmp_path_factory.mktemp("pages")
    cache = cache_folder("distances")
    found = {}
    for name, robots in (("four", ROBOTS), ("sixteen", tuple(list_robots()))):
        groups = [robots[: len(robots) // 2], robots[len(robots) // 2 :]]
        run = write_run(folder / name, robots=robots, groups=groups)
        write_conflicts(run, robots)
        shapes = {robot: (4 + rank, 2) for rank, robot in enumerate(robots)}
        data = write_dataset(folder / f"{name}-data", shapes, steps=2000, length=100)
        films = {robot: film(rank) for rank, robot in enumerate(robots)}
        found[name] = write_report(run, data, films, cache=cache)
    started = write_run(folder / "started", evaluated=False)
    (started / "metrics.jsonl").unlink()
    found["started"] = write_report(started, cache=cache)
    old = write_run(folder / "older", updates=500)
    evaluation = json.loads((old / "evaluation.json").read_text())
    for own in evaluation["robots"].values():
        for key in ("floor_return", "fall_share", "velocity", "reference", "data_episodes"):
            del own[key]
    (old / "evaluation.json").write_text(json.dumps(evaluation))
    found["older"] = write_report(old, cache=cache)
    compared = compare(arms(folder / "arms"))
    found["comparison"] = write_comparison(compared, folder / "arms.html")
    found["reproduction"] = write_reproduction(
        PageHead("table1", "Three methods on two sets", "Which one earns most?", facts=FACTS),
        table_findings(reproduced(compared)),
        folder / "table.html",
    )
    return found


def film(rank):
    """A disc that moves over tiles."""
    rows, columns = np.mgrid[:240, :320]
    frames = []
    for step in range(40):
        tiles = ((columns + 4 * step) // 40 + rows // 40) % 2
        frame = np.repeat((220 + 20 * tiles)[..., None], 3, axis=2).astype(np.uint8)
        disc = (columns - 160) ** 2 + (rows - 120 - 40 * np.sin(step / 4 + rank)) ** 2 < 900
        frame[disc] = (40, 90, 140)
        frames.append(frame)
    return encode_webp(np.array(frames))


def arms(folder):
    """Three algorithms, three seeds each."""
    for algorithm, level in {"iql": 40.0, "bc": 30.0, "td3_bc": 39.0}.items():
        for seed in range(3):
            path = folder / f"{algorithm}-{seed}"
            config = {"algorithm": algorithm, "combine": "pooled", "data": "d", "seed": seed}
            write_json(path / "config.json", config | {"robots": list(ROBOTS)})
            scores = {
                robot: {
                    "return_mean": level + 2.0 * rank + np.sin(7.0 * seed + rank),
                    "normalised_return": level / 50.0 + 0.02 * rank + 0.01 * np.sin(seed),
                    "floor_return": 4.0,
                    "reference": "expert",
                }
                for rank, robot in enumerate(ROBOTS)
            }
            question = {"command": [1.0, 0.0, 0.0], "episodes": 8}
            write_json(path / "evaluation.json", question | {"robots": scores})
    return sorted(str(path) for path in folder.iterdir())


FACTS = {"Scale": "small", "Robots": "all sixteen", "Seeds": "3"}


def reproduced(compared):
    """A table of two sets, of which the paper has numbers of one."""
    names = tuple(arm.name for arm in compared.arms)
    return ReproducedTable(
        arms=names,
        baseline=compared.baseline,
        comparisons={"suboptimal70-forward": compared, "expert-backward": compared},
        reported={"expert-backward": {name: (60.0 + rank, 0.5) for rank, name in enumerate(names)}},
    )


@pytest.fixture
def visit(browser, pages):
    """Opens a page, and afterwards holds that it was silent and asked for nothing."""
    faults, opened = [], []

    def open_page(name, view):
        width, scheme = VIEWS[view]
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.set_default_timeout(MILLISECONDS)
        page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda asked: opened.append(asked.url))
        page.goto(pages[name].as_uri())
        page.wait_for_selector("html[data-drawn]")
        return page

    yield open_page
    assert faults == []
    assert [url for url in opened if not url.startswith(("data:", "blob:"))] == [
        url for url in opened if url.startswith("file:") and url.endswith(".html")
    ]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_legible_whole_and_accessible(visit, name, view):
    page = visit(name, view)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(CUT) == []
    for part in page.query_selector_all("details"):
        part.evaluate("(part) => { part.open = true; }")
    assert page.evaluate(TOO_SMALL) == []
    plots = page.query_selector_all(".plot")
    assert all(plot.query_selector("svg path") for plot in plots)
    found = axe.Axe().run(page).response["violations"]
    grave = [own for own in found if own["impact"] in ("serious", "critical")]
    assert [(own["id"], [node["html"][:150] for node in own["nodes"]]) for own in grave] == []


@pytest.mark.parametrize("name", PAGES)
def test_on_paper_no_heading_is_parted_from_what_it_heads(visit, name):
    page = visit(name, "wide")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    headings = {own.inner_text().split("\n")[0] for own in page.query_selector_all("h2, h3")}
    paper = pypdf.PdfReader(io.BytesIO(page.pdf(format="A4")))
    lines = [[line.strip() for line in sheet.extract_text().splitlines()] for sheet in paper.pages]
    said = " ".join(unicodedata.normalize("NFKC", line) for sheet in lines for line in sheet)
    assert [heading for heading in headings if heading.split()[0] not in said] == []
    last = [next((line for line in reversed(sheet) if line), "") for sheet in lines]
    assert not (headings - set(list_robots())) & set(last)
    assert page.evaluate("[...document.querySelectorAll('details.settings')].every(p => p.open)")


@pytest.mark.parametrize("name", ["four", "sixteen"])
def test_the_filter_acts_on_table_charts_and_films(visit, name):
    page = visit(name, "wide")
    robot = ROBOTS[0]

    def counts():
        return {
            "rows": page.locator(f"#returns .sortable tr[data-robot={robot}]:visible").count(),
            "films": page.locator(f"figure.film[data-robot={robot}]:visible").count(),
            "labels": page.locator(
                "#evaluations-return_mean .plot svg text", has_text=robot
            ).count(),
            "returns": page.locator("#returns-by-robot .plot svg text", has_text=robot).count(),
        }

    assert counts() == {"rows": 1, "films": 1, "labels": 1, "returns": 1}
    page.click(f".chips [data-robot={robot}]")
    page.wait_for_function(
        "!document.querySelector('#returns-by-robot .plot svg').textContent.includes('unitree_go1')"
    )
    assert counts() == {"rows": 0, "films": 0, "labels": 0, "returns": 0}
    page.click("[data-all=hide]")
    assert page.locator("#returns .sortable tbody tr:visible").count() == 0
    page.click("[data-all=show]")
    page.wait_for_function(
        f"document.querySelector('#returns-by-robot .plot svg').textContent.includes('{robot}')"
    )
    assert counts() == {"rows": 1, "films": 1, "labels": 1, "returns": 1}


def test_tables_sort_by_each_column(visit):
    page = visit("four", "wide")
    heading = page.locator("#returns thead th", has_text="Return").first
    for order in ("descending", "ascending"):
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == order
        cells = page.locator("#returns .sortable tbody td:nth-child(3)").all()
        values = [float(cell.get_attribute("data-value")) for cell in cells]
        assert values == sorted(values, reverse=order == "descending")


def test_legends_switch_series_and_charts_say_their_values(visit):
    page = visit("four", "wide")
    chart = page.locator("#losses-of-the-critics")
    before = chart.locator("svg path[stroke-width='1.7']").count()
    chart.locator(".legend button", has_text="V").click()
    page.wait_for_timeout(200)
    assert chart.locator("svg path[stroke-width='1.7']").count() < before
    plot = page.locator("#mean-q .plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.move(box["x"] + 0.42 * box["width"], box["y"] + 0.5 * box["height"])
    tip = page.locator(".tip")
    tip.wait_for(state="visible")
    assert all(robot in tip.inner_text() for robot in ROBOTS)


@pytest.mark.parametrize("calm", [False, True])
def test_films_play_pause_and_step(visit, calm):
    page = visit("four", "wide")
    if calm:
        page.emulate_media(reduced_motion="reduce")
        page.reload()
        page.wait_for_selector("html[data-drawn]")
    figure = page.locator("figure.film").first
    figure.scroll_into_view_if_needed()
    seen = "(part) => part.querySelector('canvas').toDataURL()"
    button = figure.locator("button")
    assert ("Play" if calm else "Pause") in button.get_attribute("aria-label")
    if calm:
        button.click()
    first = figure.evaluate(seen)
    page.wait_for_timeout(500)
    assert figure.evaluate(seen) != first
    button.click()
    page.wait_for_timeout(200)
    held = figure.evaluate(seen)
    page.wait_for_timeout(400)
    assert figure.evaluate(seen) == held
    figure.locator("input").focus()
    page.keyboard.press("End")
    page.wait_for_timeout(400)
    assert figure.locator("input").input_value() == figure.locator("input").get_attribute("max")
    assert figure.evaluate(seen) != held


def test_without_javascript_sentences_tables_and_numbers_are_there(browser, pages):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(MILLISECONDS)
    page.goto(pages["four"].as_uri())
    assert "better than its data" in page.locator("h1").inner_text()
    assert page.locator("#returns tbody tr").first.is_visible()
    page.locator("details.numbers summary").first.click()
    assert page.locator("details.numbers table").first.is_visible()
    assert "JavaScript" in page.locator("noscript").inner_text()
    context.close()


def test_sixteen_robots_fit_in_fifteen_megabytes(pages):
    assert pages["sixteen"].stat().st_size < 15e6
