"""The page in a browser: a photo, the scales of its parts, a correction, what is no photo, and who uses it how."""

import base64
import csv
import io
import shutil
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
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

PASTE = """const files = new DataTransfer(), bytes = Uint8Array.from(atob(arguments[0]), (one) => one.charCodeAt(0));
    files.items.add(new File([bytes], "image.png", {type: "image/png"}));
    document.body.dispatchEvent(new ClipboardEvent("paste", {clipboardData: files, bubbles: true}));"""
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

    def faults(self) -> list[str]:
        """What axe-core calls serious or critical."""
        spec = find_spec("axe_selenium_python")
        if spec is None or spec.origin is None:
            pytest.skip("axe-selenium-python, which has axe-core, is not installed")
        axe = Path(spec.origin).parent / "node_modules" / "axe-core" / "axe.min.js"
        self.browser.execute_script(axe.read_text(encoding="utf-8"))
        found = self.browser.execute_async_script("axe.run(document, {}).then(arguments[0])")["violations"]
        return [f"{one['id']} {one['nodes'][0]['html']}" for one in found if one["impact"] in ("serious", "critical")]


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
    box.send_keys("Häher")
    page.wait(lambda browser: browser.find_elements(By.CSS_SELECTOR, "[role=listbox]"))
    assert page.faults() == []
    box.send_keys(Keys.ENTER)
    page.wait(lambda _: box.get_attribute("aria-expanded") == "false")
    assert page.faults() == []
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
    (tmp_path / "text.png").write_text("no photo")
    page.choose(tmp_path / "text.png")
    page.wait(lambda _: "is no" in page.value("message"))
    assert not page.picture("parts-0")


def test_a_photo_is_pasted_on_a_dark_telephone(page: Page) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    page.browser.refresh()
    page.wait(lambda browser: browser.find_elements(By.CSS_SELECTOR, "#pasted input"))
    buffer = io.BytesIO()
    painted(150, 200).save(buffer, "PNG")
    page.browser.execute_script(PASTE, base64.b64encode(buffer.getvalue()).decode())
    page.wait(lambda _: page.picture("parts-0") and page.picture("parts-1"))
    assert page.browser.execute_script("return document.documentElement.scrollWidth") <= 390
    top, bottom = (
        page.browser.execute_script("""const [label, best] = ["label", "[data-testid=label-output-value]"].map(
        (one) => document.querySelector(`#answer-0 ${one}`).getBoundingClientRect());
        return [best.top, label.bottom];""")
    )
    assert top >= bottom  # the label, in two lines, leaves the best class in sight
    small = """return [...document.querySelectorAll('button')].map((one) => one.getBoundingClientRect())
        .filter((place) => place.width && (place.width < 24 || place.height < 24)).length"""
    assert page.browser.execute_script(small) == 0
    assert page.faults() == []


def test_the_keyboard_reaches_everything_and_leaves_it(page: Page) -> None:
    page.browser.execute_script("document.querySelector('#show input').focus()")
    seen = list[str]()
    for _ in range(20):
        now = page.browser.switch_to.active_element
        seen.append(now.get_attribute("id") or now.get_attribute("aria-label") or now.get_attribute("type") or "")
        if seen[-1] == "save":
            break
        now.send_keys(Keys.TAB)
    assert {"radio", "Fullscreen", "Download", "the right class", "save"} <= set(seen)
    page.wait(lambda browser: not browser.find_elements(By.CSS_SELECTOR, "[role=listbox]"))
