"""The HTML page in a real Chromium: sorted, switched, light and dark, at a phone's width, and no request leaves it."""

import pytest
from made_prediction import prediction_of
from report_tables import example_table
from run_factory import write_run
from tools import CHROMIUM, require_tool

from mer_cli.report.build import EVERY_TABLE, build_report
from mer_cli.report.collect import collect_runs, group_seeds
from mer_cli.report.prediction_page import render_page
from mer_cli.report.render import render
from mer_cli.report.render.figures import run_figures
from mer_cli.report.render.html import render_html

PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1440, "height": 900}
FIRST_TABLE = "table[aria-labelledby=table-3-1]"


@pytest.fixture(scope="module")
def browser():
    program = require_tool(*CHROMIUM)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    root = tmp_path_factory.mktemp("page")
    path = write_run(root / "runs", "casme2-5")
    write_run(root / "runs", "mmnet3", generated=True)
    (path / "explain").mkdir()
    (path / "explain" / "clip.png").write_bytes(_pixel())
    figures = run_figures(group_seeds(collect_runs(root / "runs").runs), True)
    (root / "report.html").write_text(render_html([example_table()], figures))
    return root / "report.html"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The page of `mer report` with two runs, of which none has a place in the paper's tables."""
    root = tmp_path_factory.mktemp("whole")
    write_run(root / "runs", "megc3", datasets=("smic",), skill=9.0, generated=True)
    write_run(root / "runs", "megc3", datasets=("smic",), skill=0.0, generated=True, weight_decay=0.7)
    report = build_report(EVERY_TABLE, collect_runs(root / "runs").runs, [])
    (root / "report.html").write_text(render("html", report.tables, report.runs, with_images=False))
    return root / "report.html"


@pytest.fixture
def open_page(browser, file):
    """Opens the page; after the test it must have asked for nothing but itself, and said nothing on the console."""
    asked, said, contexts = [], [], []

    def opened(**settings):
        context = browser.new_context(**{"viewport": DESKTOP, **settings})
        contexts.append(context)
        context.route("**/*", lambda route: (asked.append(route.request.url), route.continue_()))
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert {url for url in asked if not url.startswith("data:")} == {file.as_uri()}
    assert said == []


def _pixel():
    import cv2
    import numpy as np

    return cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()


def methods(page):
    return page.locator(f"{FIRST_TABLE} tbody th").all_inner_texts()


def heading(page, column):
    return page.locator(f"{FIRST_TABLE} thead tr:nth-child(2) th").nth(column)


def is_shown(page, text):
    return page.get_by_text(text, exact=True).first.is_visible()


def test_a_click_sorts_a_column_of_numbers_and_empty_cells_stay_below(open_page):
    page = open_page()
    in_order = methods(page)
    button = heading(page, 2).get_by_role("button")
    button.click()
    assert methods(page) == ["MMNet", "prior-random", "baseline", "ca"]
    assert heading(page, 2).get_attribute("aria-sort") == "descending"
    button.click()
    assert methods(page) == ["baseline", "prior-random", "MMNet", "ca"]  # 9.25 below 70.5: as numbers
    assert heading(page, 2).get_attribute("aria-sort") == "ascending"
    button.click()
    assert methods(page) == in_order
    assert heading(page, 2).get_attribute("aria-sort") is None


def test_negative_numbers_are_sorted_as_numbers(open_page):
    page = open_page()
    heading(page, 3).get_by_role("button").click()
    assert methods(page) == ["MMNet", "baseline", "prior-random", "ca"]


def test_the_keyboard_sorts_a_column_of_text(open_page):
    page = open_page()
    heading(page, 0).get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert methods(page) == ["baseline", "ca", "MMNet", "prior-random"]
    page.keyboard.press("Space")
    assert methods(page) == ["prior-random", "MMNet", "ca", "baseline"]
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert heading(page, 0).get_attribute("aria-sort") is None
    assert heading(page, 1).get_attribute("aria-sort") == "descending"


def test_the_honest_rule_shows_first_and_the_switch_shows_another(open_page):
    page = open_page()
    honest, flattering = "Epoch rule last", "ours, best-test: selected on the test subject"
    assert is_shown(page, "ours, last epoch")
    assert is_shown(page, honest)
    assert not is_shown(page, flattering)
    page.get_by_label("best-test (selected on the test subject)").check()
    assert is_shown(page, flattering)
    assert not is_shown(page, "ours, last epoch")
    assert not is_shown(page, honest)
    page.get_by_label("all", exact=True).check()
    assert is_shown(page, flattering)
    assert is_shown(page, honest)


def test_arrow_keys_move_the_switch(open_page):
    page = open_page()
    page.get_by_label("last", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert is_shown(page, "ours, inner-val")
    assert not is_shown(page, "ours, last epoch")


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP])
def test_the_page_is_never_wider_than_the_screen(open_page, viewport):
    page = open_page(viewport=viewport)
    page.get_by_label("all", exact=True).check()
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]


@pytest.mark.parametrize(("scheme", "other"), [("light", "dark"), ("dark", "light")])
def test_text_stands_out_in_both_colour_schemes(open_page, scheme, other):
    page = open_page(color_scheme=scheme)
    assert is_dark(page) == (scheme == "dark")
    page.get_by_role("button", name=f"{other} theme").click()
    assert is_dark(page) == (other == "dark")


def is_dark(page):
    """Whether the paper is darker than the ink, by far; on the page and in its charts."""
    style = "getComputedStyle({}).{}.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + +part, 0) / 3"
    paper = page.evaluate(style.format("document.body", "backgroundColor"))
    inks = [
        page.evaluate(style.format(*place))
        for place in (("document.body", "color"), ("document.querySelector('svg text.strong')", "fill"))
    ]
    assert all(abs(paper - ink) > 120 for ink in inks)
    return all(paper < ink for ink in inks)


def test_without_javascript_everything_shows(open_page):
    page = open_page(java_script_enabled=False)
    for text in ("ours, last epoch", "ours, best-test: selected on the test subject", "Epoch rule last"):
        assert is_shown(page, text)
    assert not page.locator("button").first.is_visible()


def test_embedded_pictures_are_drawn(open_page):
    page = open_page()
    picture = page.locator("img.picture")
    picture.scroll_into_view_if_needed()
    assert picture.get_attribute("alt") == "Attention maps: clip, seed 1"
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1


def test_the_first_screen_of_a_phone_shows_the_stamp_and_the_best_run_with_its_accuracy(browser, whole):
    page = browser.new_page(viewport=PHONE)
    page.goto(whole.as_uri())
    first = page.locator("table[aria-labelledby=table-summary-1] tbody tr").first
    for place in (page.locator(".warning").first, *(first.locator("th, td").nth(column) for column in (0, 1))):
        box = place.bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= PHONE["height"]
        assert box["x"] + box["width"] <= PHONE["width"]
    assert first.locator("th").inner_text() == "MMNet, released recipe, epochs 6"
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_a_table_without_a_run_of_ones_own_is_folded_away_and_the_keyboard_opens_it(browser, whole):
    page = browser.new_page(viewport=DESKTOP)
    page.goto(whole.as_uri())
    table = page.locator("table[aria-labelledby=table-6-1]")
    line = page.locator("summary", has_text="Table 6")
    assert not table.is_visible()
    assert line.inner_text().endswith("nothing here was trained for it")
    line.focus()
    page.keyboard.press("Enter")
    assert table.is_visible()
    table.locator("thead tr").last.locator("button").nth(2).click()
    assert table.locator("tbody tr").first.inner_text().startswith("MMNet")


def test_the_summary_shows_whatever_epoch_rule_is_looked_at(browser, whole):
    page = browser.new_page(viewport=DESKTOP)
    page.goto(whole.as_uri())
    page.get_by_label("best-test (selected on the test subject)").check()
    assert page.locator("table[aria-labelledby=table-summary-1] td").first.is_visible()


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_answers_fits_the_screen_and_loads_nothing(browser, tmp_path, viewport, scheme):
    file = tmp_path / "answers.html"
    file.write_text(render_page([prediction_of(), prediction_of(path="other.mp4")]))
    asked, said = [], []
    page = browser.new_page(viewport=viewport, color_scheme=scheme)
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    timeline = page.locator("svg.chart").first
    assert timeline.evaluate("chart => chart.parentElement.scrollWidth > chart.parentElement.clientWidth") == (
        viewport is PHONE
    )
    assert page.locator(".frames img").first.evaluate("image => image.naturalWidth") == 224
    assert {url for url in asked if not url.startswith("data:")} == {file.as_uri()}
    assert said == []
    page.close()
