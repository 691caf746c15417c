"""The page in a browser: a photo, the scales of its parts, a correction, and what is no photo."""

import csv
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from samples import NAMES, make, painted
from scapnet.checkpoint import save_pretrained
from scapnet.predict import predict_photo
from scapnet.serve import build, load
from scapnet.serve.limits import Limits

pytest.importorskip("gradio", reason="needs the extra: pip install scapnet[demo]")
uvicorn = pytest.importorskip("uvicorn", reason="needs the extra: pip install scapnet[serve]")
webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")


class Page:
    """What a visitor sees and does."""

    def __init__(self, browser: Any, corrections: Path) -> None:
        self.browser, self.corrections = browser, corrections

    def wait(self, ready: Callable[[Any], Any]) -> Any:
        return WebDriverWait(self.browser, 60, 0.1).until(ready)

    def text(self, name: str) -> str:
        found = self.browser.find_elements(By.ID, name)
        return str(found[0].text) if found else ""

    def value(self, name: str) -> str:
        found = self.browser.find_elements(By.CSS_SELECTOR, f"#{name} textarea, #{name} input")
        return str(found[0].get_attribute("value")) if found else ""

    def picture(self, name: str) -> str:
        found = self.browser.find_elements(By.CSS_SELECTOR, f"#{name} img")
        return str(found[0].get_attribute("src")) if found else ""

    def choose(self, file: Path) -> None:
        finder = (By.CSS_SELECTOR, "#photo input[type=file]")
        self.wait(lambda browser: browser.find_elements(*finder))[0].send_keys(str(file))

    def press(self, selector: str) -> None:
        element = self.wait(lambda browser: browser.find_elements(By.CSS_SELECTOR, selector))[0]
        self.browser.execute_script("arguments[0].click()", element)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("serve")
    model = make()
    model.classes = ("crow", "jay, blue", "<b>rook</b>", "Häher")
    model.threshold = 0.999
    first = save_pretrained(model, folder / "first")
    second = save_pretrained(make(), folder / "second")
    app = build(load([str(first), str(second)]), limits=Limits(megapixels=1), corrections=folder / "corrections")
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        opened = Page(browser, folder / "corrections")
        opened.wait(lambda _: server.started)
        browser.get(f"http://localhost:{server.servers[0].sockets[0].getsockname()[1]}/")
        yield opened
    finally:
        browser.quit()
        server.should_exit = True
        thread.join(30)


def test_a_visit(page: Page, tmp_path: Path) -> None:
    painted(150, 200).save(tmp_path / "photo.png")
    page.choose(tmp_path / "photo.png")
    page.wait(lambda _: page.picture("parts-0") and page.picture("parts-1"))
    expected = predict_photo(make(), tmp_path / "photo.png", top=4)
    best, probability = expected.names[0], expected.probabilities[0]
    assert best in page.text("answer-1")
    assert f"{probability:.0%}" in page.text("answer-1")
    assert "unknown" not in page.text("answer-1")
    assert "first: unknown, the best class is below 100%" in page.text("answer-0")
    assert "<b>rook</b>" in page.text("answer-0")  # as text, not in bold

    shown = page.picture("parts-0")
    page.press("#show label:nth-of-type(2) input")
    page.wait(lambda _: page.picture("parts-0") not in ("", shown))

    page.press("#save")
    page.wait(lambda _: "Choose the right class first" in page.value("note"))
    box = page.browser.find_element(By.CSS_SELECTOR, "#right input")
    box.send_keys("Häher", Keys.ENTER)
    page.press("#save")
    page.wait(lambda _: "Saved" in page.value("note"))
    with (page.corrections / "corrections.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["label"] == "Häher"
    assert row["predicted"] == expected.names[0].replace(NAMES[2], "<b>rook</b>")
    assert (page.corrections / row["path"]).is_file()


def test_what_is_not_a_photo_gets_a_sentence(page: Page, tmp_path: Path) -> None:
    page.browser.refresh()
    painted(1100, 1000).save(tmp_path / "large.png")
    page.choose(tmp_path / "large.png")
    page.wait(lambda _: "at most 1 million" in page.value("message"))
    assert not page.picture("parts-0")


def test_it_fits_a_telephone(page: Page) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.browser.refresh()
    page.wait(lambda browser: browser.find_elements(By.CSS_SELECTOR, "#photo input[type=file]"))
    assert page.browser.execute_script("return document.documentElement.scrollWidth") <= 390
