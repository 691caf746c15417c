"""The documentation builds as a website, strictly, and loads nothing from another server."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import scapnet

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("material") is None or find_spec("mkdocstrings_handlers") is None:
        pytest.skip('the website needs pip install "scapnet[docs]"')
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]*\ssrc="([^"]+)"', text)
        loaded += re.findall(r'<link[^>]*rel="(?:stylesheet|preconnect|preload|icon)"[^>]*href="([^"]+)"', text)
        assert loaded
        assert not [name for name in loaded if re.match(r"(https?:)?//", name)], page


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    shown = "".join(page.read_text(encoding="utf-8") for page in (site / "api").glob("*.html"))
    for name in scapnet.__all__:
        found = getattr(scapnet, name)
        assert f'id="{found.__module__}.{name}"' in shown, f"docs/api does not show scapnet.{name}"


def test_results_and_examples_are_pages(site: Path) -> None:
    for name in ("results/README.html", "results/reproduce/finches/table4.html", "examples/gate_in_resnet.html"):
        assert (site / name).exists() or (site / name.replace("README", "index")).exists(), name
    assert "SCAPNet" in (site / "examples" / "convnext.html").read_text(encoding="utf-8")
    assert "next best" in (site / "examples" / "tour.html").read_text(encoding="utf-8")
    evidence = (site / "evidence.html").read_text(encoding="utf-8")
    assert 'href="results/reproduce/finches/table4.html"' in evidence
    assert 'src="results/reproduce/grocery/fig10.png"' in evidence


def test_the_help_of_every_command_is_shown(site: Path) -> None:
    page = (site / "cli.html").read_text(encoding="utf-8")
    for name in ("scapnet train photos", "scapnet predict", "scapnet data check", "scapnet explain"):
        assert f"usage: {name}" in page


def test_the_search_works_from_disk(site: Path) -> None:
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,900",
    ):
        options.add_argument(word)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        browser.get((site / "index.html").as_uri())
        box = browser.find_element("css selector", ".md-search__input")
        box.click()
        box.send_keys("conformal")
        wait = importlib.import_module("selenium.webdriver.support.ui").WebDriverWait(browser, 60, 0.1)
        found = wait.until(lambda page: page.find_elements("css selector", ".md-search-result__link"))
        assert any("unknowns.html" in one.get_attribute("href") for one in found)
    finally:
        browser.quit()
