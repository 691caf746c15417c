"""The page in a real browser: it sorts, filters and opens photos by keyboard, and axe finds no fault in it."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from scapnet.report import write_report

SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def page(run: Path, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The browser, on the page."""
    file = write_report(run, tmp_path_factory.mktemp("browser") / "report.html")
    browser.get(file.as_uri())
    return browser


def severe(browser: Any) -> list[str]:
    """What the console says is wrong."""
    return [line["message"] for line in browser.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]


def use(browser: Any, scheme: str = "light", width: int = 1280) -> None:
    """Show the page as on a machine with that colour scheme, in a window of that width."""
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def shown(browser: Any) -> list[int]:
    """Numbers of the photos that the filters leave."""
    script = "return [...document.querySelectorAll('#cards .card:not([hidden])')].map((c) => Number(c.dataset.photo))"
    found: list[int] = browser.execute_script(script)
    return found


def change(browser: Any, name: str, value: str) -> None:
    script = """const control = document.getElementById('filters').elements[arguments[0]];
        control.value = arguments[1]; control.dispatchEvent(new Event('input', {bubbles: true}));"""
    browser.execute_script(script, name, value)


def photos(browser: Any) -> Any:
    return browser.execute_script("return JSON.parse(document.getElementById('data').textContent).photos")


def test_nothing_goes_wrong_and_no_name_is_run(page: Any) -> None:
    assert severe(page) == []
    assert page.execute_script("return document.querySelectorAll('script').length") == 2


def test_filters_leave_what_they_say(page: Any) -> None:
    every = photos(page)
    assert len(shown(page)) == len(every)
    change(page, "outcome", "wrong")
    assert set(shown(page)) == {i for i, one in enumerate(every) if one["best"][0][0] != one["true"]}
    change(page, "outcome", "")
    change(page, "class", "0")
    assert set(shown(page)) == {i for i, one in enumerate(every) if 0 in (one["true"], one["best"][0][0])}
    change(page, "class", "")
    change(page, "from", "50")
    assert set(shown(page)) == {i for i, one in enumerate(every) if one["best"][0][1] >= 0.5}
    change(page, "order", "unsure")
    sure = [every[i]["best"][0][1] for i in shown(page)]
    assert sure == sorted(sure)
    page.execute_script("document.getElementById('filters').reset()")
    page.execute_async_script("setTimeout(arguments[0], 20)")
    assert shown(page) == list(range(len(every)))


def test_a_heading_sorts_there_and_back(page: Any) -> None:
    head = page.find_element("css selector", "#classes thead th:nth-child(3) button")
    column = (
        "return [...document.querySelectorAll('#classes tbody td:nth-child(3)')].map((c) => Number(c.dataset.value))"
    )
    page.execute_script("arguments[0].click()", head)
    found = page.execute_script(column)
    assert found == sorted(found, reverse=True)
    page.execute_script("arguments[0].click()", head)
    assert page.execute_script(column) == sorted(found)
    assert head.find_element("xpath", "..").get_attribute("aria-sort") == "ascending"


def test_a_photo_is_looked_at_with_the_keyboard(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    card = page.find_element("css selector", "#cards .card button")
    page.execute_script("arguments[0].focus()", card)
    assert len(card.find_elements("css selector", "rect.part")) == 6
    card.send_keys(Keys.ENTER)
    viewer = page.find_element("id", "viewer")
    assert viewer.is_displayed()
    part = viewer.find_element("css selector", ".votes button")
    page.execute_script("arguments[0].focus()", part)
    assert len(viewer.find_elements("css selector", ".overlay .chosen")) == 1
    assert "Part 1 takes" in viewer.find_element("css selector", ".reasons .note").text
    names = [one["name"] for one in photos(page)]
    part.send_keys(Keys.ARROW_RIGHT)
    assert viewer.find_element("css selector", ".reasons bdi.file").text == names[1]
    page.switch_to.active_element.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert viewer.find_element("css selector", ".reasons bdi.file").text == names[-1]
    last = photos(page)[-1]
    for layer, kind, count in (
        ("gate", "rect.shut", sum(kept < 1 for row in last["gate"] for kept in row)),
        ("cam", "canvas", 1),
        ("parts", "rect.part", 6),
    ):
        page.execute_script("arguments[0].click()", viewer.find_element("css selector", f"input[value={layer}]"))
        assert len(viewer.find_elements("css selector", f"#picture {kind}")) == count, layer
    viewer.send_keys(Keys.ESCAPE)
    assert not viewer.is_displayed()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("opened", [False, True], ids=["page", "photo"])
def test_axe_finds_nothing(page: Any, scheme: str, width: int, opened: bool) -> None:
    spec = find_spec("axe_selenium_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-selenium-python, which has axe-core, is not installed")
    use(page, scheme, width)
    page.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    if opened:
        page.execute_script("document.querySelector('#cards .card button').click()")
    axe = Path(spec.origin).parent / "node_modules" / "axe-core" / "axe.min.js"
    page.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    page.execute_script(axe.read_text(encoding="utf-8"))
    found = page.execute_async_script("axe.run(document, {}).then(arguments[0])")
    page.execute_script("document.getElementById('viewer').close()")
    faults = [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found["violations"]]
    assert faults == []
    overflow = page.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_nothing_is_cut_and_everything_can_be_touched(page: Any, width: int) -> None:
    use(page, "dark", width)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    outside = """return [...document.querySelectorAll('svg.chart')].flatMap((chart) => {
        const all = chart.getBoundingClientRect();
        return [...chart.querySelectorAll('text')].filter((text) => {
          const own = text.getBoundingClientRect();
          return own.left < all.left - 1 || own.right > all.right + 1 || own.bottom > all.bottom + 1;
        }).map((text) => text.textContent);
      });"""
    assert page.execute_script(outside) == []
    small = """return [...document.querySelectorAll('main a, main button, main select, main summary, nav a')]
        .filter((one) => one.getBoundingClientRect().height > 0 && one.getBoundingClientRect().height < 24)
        .map((one) => one.outerHTML);"""
    assert page.execute_script(small) == []


def test_a_phone_keeps_the_class_and_the_photo_in_sight(page: Any) -> None:
    use(page, "light", 390)
    place = "return arguments[0].getBoundingClientRect()"
    table, cell = (page.find_element("css selector", f"#classes {one}") for one in (".scroll", "tbody th"))
    before = page.execute_script(place, cell)["left"]
    page.execute_script("arguments[0].scrollLeft = 200", table)
    assert page.execute_script(place, cell)["left"] == pytest.approx(before, abs=1)
    page.execute_script("document.querySelector('#cards .card button').click()")
    part = page.find_element("css selector", ".votes li:last-child button")
    page.execute_script("arguments[0].scrollIntoView({block: 'end'}); arguments[0].click()", part)
    picture, vote = (page.execute_script(place, one) for one in (page.find_element("id", "picture"), part))
    page.execute_script("document.getElementById('viewer').close()")
    assert picture["top"] >= 0
    assert picture["bottom"] <= vote["top"]
    assert vote["bottom"] <= 901


def test_the_bars_have_their_figures_in_words(page: Any) -> None:
    use(page)
    counts = """return [...document.querySelectorAll('#calibration details')].map(
        (one) => [...one.querySelectorAll('td:nth-child(2)')].map((cell) => Number(cell.textContent)));"""
    tables = page.execute_script(counts)
    assert [sum(table) for table in tables] == [18, 18]
    bars = page.execute_script("return document.querySelectorAll('#calibration rect').length")
    assert bars == sum(map(len, tables))


def test_a_dark_page_is_printed_on_white_and_whole(page: Any) -> None:
    use(page, "dark", 720)  # of A4, less its margins
    colour = "return getComputedStyle(document.body).backgroundColor"
    assert page.execute_script(colour) == "rgb(16, 21, 28)"
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": dark})
    printed = page.execute_script(colour)
    wide = page.execute_script("return document.documentElement.scrollWidth")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert printed == "rgb(246, 247, 249)"
    assert wide <= 720
