"""The web pages in a real browser: a whole game, a phone, a keyboard, hostile names, and no word to the outside."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from echelon.envs.simulate import simulate
from echelon.experiments.web_beer_game import Person, Setup, as_csv
from echelon.experiments.web_beer_reveal import RULE_NAMES, reveal

from .web_runs import PIXEL, write_run
from .web_server import CHROMIUM, DRIVER, browsing, requests_of, resize, serving

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

EVIL = "<img src=x onerror=\"window.hacked='yes'\">"
PAGES = (
    *("/", "/play?stage=factory&orders=4.5.6", "/play?weeks=4&orders=4.4.9.8", "/play?stage=brewer"),
    *("/what-if", "/what-if?problem=chain", "/what-if?problem=placement"),
    *("/runs", "/runs/1-plain", "/runs/2-hostile", "/runs/9-none"),
)
ORDERS = (4, 0, 9, 12, 7, 30, 8, 8)

needs_browser = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()), reason="chromium and chromedriver are not installed in /usr/bin"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, the second with hostile names, and a secret beside them."""
    place = tmp_path_factory.mktemp("web")
    write_run(place / "runs" / "plain", policies=("base stock", "PPO"))
    hostile = write_run(place / "runs" / "hostile", problem=EVIL, policies=(EVIL, "</script><b>bold</b>"))
    lacking = {"failed": {f"{EVIL} / PPO": EVIL}, "left_out": {f"{EVIL} / eoq": f"eoq needs {EVIL}"}}
    (hostile / "manifest.json").write_text(json.dumps(lacking))
    (hostile / "report.html").write_text(f"<!DOCTYPE html><title>x</title>{EVIL}<script>window.hacked='yes'</script>")
    (place / "secret.png").write_bytes(PIXEL + b"SECRET")
    (hostile / "plots" / "09-linked.png").symlink_to(place / "secret.png")
    (place / "empty").mkdir()
    return place


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    with serving(folder / "empty", [str(folder / "runs" / name) for name in ("plain", "hostile")]) as address:
        yield address


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browsing(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Chrome, server: str) -> Iterator[Chrome]:
    """A browser of desktop size; the test fails if a page logs an error or asks anyone but the server."""
    resize(one_browser, 1200, 800)
    one_browser.get("about:blank")
    one_browser.get_log("browser")  # type: ignore[no-untyped-call]
    requests_of(one_browser)
    yield one_browser
    logged = [entry["message"] for entry in one_browser.get_log("browser")]  # type: ignore[no-untyped-call]
    assert logged == []
    asked = requests_of(one_browser)
    own = (server, server.replace("http://", "ws://"))
    assert asked, "the pages asked for nothing, so the log is not the log"
    assert [url for url in asked if not url.startswith(own)] == []


def find(browser: Chrome, selector: str) -> WebElement:
    """The element, as soon as it is there and can be seen."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.expected_conditions import visibility_of_element_located
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 15, 0.05).until(visibility_of_element_located((By.CSS_SELECTOR, selector)))


def await_text(browser: Chrome, selector: str, text: str) -> None:
    """Wait until the element has the text."""
    from selenium.webdriver.support.ui import WebDriverWait

    script = "const e = document.querySelector(arguments[0]); return e && e.innerText.includes(arguments[1])"
    WebDriverWait(browser, 15, 0.05).until(lambda driver: driver.execute_script(script, selector, text))


def press(browser: Chrome, *keys: str) -> None:
    """Press keys, wherever the focus is."""
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser, duration=5).send_keys(*keys).perform()


def run(browser: Chrome, script: str, *arguments: Any) -> Any:
    """What a script in the page returns."""
    return browser.execute_script(script, *arguments)


def text_of(browser: Chrome, selector: str) -> str:
    """What can be read there, as soon as there is something; parts of a page are drawn anew at any time."""
    from selenium.webdriver.support.ui import WebDriverWait

    text = "return document.querySelector(arguments[0])?.innerText"
    return str(WebDriverWait(browser, 15, 0.05).until(lambda page: run(page, text, selector)))


@needs_browser
def test_a_whole_game_is_played_and_the_reveal_tells_what_the_engine_charges(browser: Chrome, server: str) -> None:
    from selenium.webdriver.common.keys import Keys

    setup = Setup(stage="wholesaler", partner="sterman", demand="random", weeks=len(ORDERS), seed=11)
    browser.get(f"{server}/play?{setup.query()}")
    for week, order in enumerate(ORDERS, start=1):
        await_text(browser, ".week", f"Week {week} of")
        field = find(browser, ".amount input")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(str(order))
        if week % 2:
            field.send_keys(Keys.ENTER)
        else:
            find(browser, ".entry .go").click()
    await_text(browser, "h1", "The reveal")
    person = Person(ORDERS, setup.link, setup.rule("sterman"))
    lines = {"You": person, **{name: setup.rule(rule) for rule, name in RULE_NAMES.items()}}
    table = text_of(browser, ".scores")
    for name, policy in lines.items():
        cost = len(ORDERS) * float(simulate(setup.problem, policy, setup.scenarios).cost[0])
        row = next(line for line in table.splitlines() if line.startswith(name))
        assert row.removeprefix(name).split()[0] == f"{cost:,.1f}", name
    assert text_of(browser, ".answer").startswith("With you as the wholesaler the chain paid")
    assert browser.current_url == f"{server}/play?{setup.query(ORDERS)}"


@needs_browser
def test_a_reloaded_page_goes_on_with_the_game(browser: Chrome, server: str) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.get(f"{server}/play?stage=factory&weeks=12")
    await_text(browser, ".week", "Week 1 of 12")
    find(browser, ".amount input").send_keys(Keys.ENTER)
    await_text(browser, ".week", "Week 2 of 12")
    before = text_of(browser, ".tiles")
    browser.refresh()
    await_text(browser, ".week", "Week 2 of 12")
    assert text_of(browser, ".tiles") == before


@needs_browser
def test_the_whole_game_can_be_played_by_keyboard_alone_with_the_focus_in_sight(browser: Chrome, server: str) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.get(server)
    find(browser, ".go")
    seen = []
    for _ in range(40):
        press(browser, Keys.TAB)
        where, outline = run(browser, FOCUS)
        seen.append(where)
        assert outline, f"the focus cannot be seen on {where}"
        if where == "Wholesaler":
            press(browser, Keys.SPACE)
        if where == "Weeks":
            press(browser, *[Keys.BACKSPACE] * 3, "4")
        if where == "Play":
            break
    assert seen[0] == "Skip to main content"
    press(browser, Keys.ENTER)
    await_text(browser, "h1", "You are the wholesaler")
    for week in range(1, 5):
        await_text(browser, ".week", f"Week {week} of 4")
        press(browser, "8", Keys.ENTER)
    await_text(browser, "h1", "The reveal")
    assert browser.current_url.endswith("orders=8.8.8.8")


FOCUS = """
const e = document.activeElement, box = e.closest('.q-field') || e;
const inner = e.querySelector('.q-radio__inner') || e;
const drawn = s => (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2) || s.boxShadow !== 'none';
const ring = drawn(getComputedStyle(e)) || drawn(getComputedStyle(inner))
  || parseFloat(getComputedStyle(box.querySelector('.q-field__control') || e, '::after').borderTopWidth) >= 2;
return [e.getAttribute('aria-label') || e.innerText.trim(), ring];
"""


@needs_browser
def test_a_slider_moves_by_keyboard_and_everything_is_drawn_anew(browser: Chrome, server: str) -> None:
    from selenium.webdriver.common.keys import Keys

    for problem, slider in (("single", "lead_time"), ("chain", "shop_time"), ("placement", "brewery_time")):
        browser.get(f"{server}/what-if?problem={problem}")
        find(browser, f".{slider}")
        find(browser, ".nicegui-echart svg path")
        before, drawn = text_of(browser, ".tiles"), run(browser, DRAWN)
        begun = time.perf_counter()
        run(browser, "document.querySelector(arguments[0] + ' [tabindex]').focus()", f".{slider}")
        press(browser, Keys.ARROW_RIGHT)
        while text_of(browser, ".tiles") == before or run(browser, DRAWN) == drawn:
            assert time.perf_counter() - begun < 30, problem


DRAWN = "return [...document.querySelectorAll('.nicegui-echart svg')].map(e => e.innerHTML).join('')"


@needs_browser
@pytest.mark.parametrize(("width", "pages"), [(390, PAGES), (1200, PAGES[2:5])], ids=["phone", "desktop"])
def test_no_page_is_wider_than_the_screen_and_every_chart_fills_its_place(
    browser: Chrome, server: str, width: int, pages: tuple[str, ...]
) -> None:
    resize(browser, width)
    for page in pages:
        browser.get(server + page)
        find(browser, "h1")
        if find(browser, "main").find_elements("css selector", ".nicegui-echart"):
            find(browser, ".nicegui-echart svg path")
        time.sleep(0.15)
        assert run(browser, "return document.documentElement.scrollWidth") <= width, page
        sizes = run(
            browser,
            "return [...document.querySelectorAll('.nicegui-echart')].map(e => "
            "[e.offsetWidth, +e.querySelector('svg').getAttribute('width')])",
        )
        assert all(place == drawn > 200 for place, drawn in sizes), (page, sizes)


@needs_browser
def test_every_control_and_every_picture_has_a_name(browser: Chrome, server: str) -> None:
    for page in PAGES:
        browser.get(server + page)
        find(browser, "h1")
        assert run(browser, NAMELESS) == [], page
        assert run(browser, "return document.documentElement.lang") == "en-US"


NAMELESS = """
const named = e => (e.getAttribute('aria-label') || e.innerText || e.getAttribute('alt')
  || e.querySelector('img')?.alt
  || (e.labels && e.labels.length && e.labels[0].innerText) || '').trim();
const all = document.querySelectorAll('main a, main button, main input:not([type=radio]), main img, main [role=img],'
  + 'main [role=radio], main [role=slider], main [role=combobox]');
return [...all].filter(e => e.offsetParent && !named(e)).map(e => e.outerHTML.slice(0, 200));
"""


@needs_browser
def test_names_from_a_run_are_text_and_never_markup(browser: Chrome, server: str) -> None:
    for page in ("/runs", "/runs/2-hostile"):
        browser.get(server + page)
        await_text(browser, "main", EVIL)
        assert run(browser, "return window.hacked") is None
        assert run(browser, "return document.querySelectorAll('main b, main img[src=x]').length") == 0
    browser.get(f"{server}/play?stage=%3Cimg%20src=x%20onerror=%22window.hacked=1%22%3E")
    await_text(browser, "main", "<img src=x")
    assert run(browser, "return window.hacked") is None


@needs_browser
def test_what_failed_and_what_was_left_out_is_told_with_the_reason(browser: Chrome, server: str) -> None:
    browser.get(f"{server}/runs")
    await_text(browser, ".runs", "1 failed, 1 left out")
    browser.get(f"{server}/runs/2-hostile")
    await_text(browser, "main", f"{EVIL} / PPO: {EVIL}")
    assert f"{EVIL} / eoq: eoq needs {EVIL}" in text_of(browser, "main")
    browser.get(f"{server}/runs/1-plain")
    await_text(browser, "main", "base stock")
    assert "left out" not in text_of(browser, "main")
    assert "without a result" not in text_of(browser, "main")


@needs_browser
def test_the_filter_keeps_the_runs_that_have_all_its_words(browser: Chrome, server: str) -> None:
    browser.get(f"{server}/runs")
    find(browser, ".filter input").send_keys("lost ppo")
    await_text(browser, "main", "1 run of 2")
    assert "plain" in text_of(browser, ".runs")
    assert "hostile" not in text_of(browser, ".runs")


@needs_browser
def test_a_dark_screen_gets_a_dark_page_and_dark_charts(browser: Chrome, server: str) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
        browser.get(f"{server}/what-if")
        find(browser, ".nicegui-echart svg path")
        colours[scheme] = run(
            browser,
            "const c = e => getComputedStyle(e); return [c(document.body).backgroundColor, "
            "c(document.querySelector('.nicegui-echart text')).fill]",
        )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert colours == {
        "light": ["rgb(245, 246, 248)", "rgb(93, 104, 117)"],
        "dark": ["rgb(18, 22, 27)", "rgb(163, 173, 185)"],
    }


@pytest.mark.parametrize(
    "path",
    [
        "/runs/2-hostile/plots/09-linked.png",
        "/runs/1-plain/plots/../../../secret.png",
        "/runs/1-plain/plots/..%2f..%2f..%2fsecret.png",
        "/runs/1-plain/plots/%2e%2e/%2e%2e/%2e%2e/secret.png",
        "/runs/1-plain/plots/..%5c..%5csecret.png",
        "/runs/../secret.png",
        "/runs/..%2fsecret.png/report.html",
        "/runs/1-plain/summary.csv",
        "/runs/1-plain/plots//etc/passwd",
        "/runs/%2fetc/plots/passwd",
        "/runs/1-plain/plots/01-cost.png%00.txt",
    ],
)
def test_nothing_but_the_named_files_is_served(server: str, path: str) -> None:
    status, body, _ = get(server, path)
    assert status in (400, 404)
    assert b"SECRET" not in body
    assert b"root:" not in body


def test_figures_and_reports_are_served_and_may_run_nothing(server: str) -> None:
    status, body, _ = get(server, "/runs/1-plain/plots/01-cost.png")
    assert (status, body) == (200, PIXEL)
    status, body, headers = get(server, "/runs/2-hostile/report.html")
    assert status == 200
    assert b"window.hacked" in body
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Content-Security-Policy"].endswith("sandbox")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_another_web_site_cannot_borrow_the_address_of_this_machine(server: str) -> None:
    assert get(server, "/", host="evil.example")[0] == 400
    assert get(server, "/", host="localhost")[0] == 200


def test_the_table_that_is_downloaded_is_that_of_the_reveal(server: str) -> None:
    setup = Setup(demand="random", weeks=len(ORDERS))
    with urllib.request.urlopen(f"{server}/play.csv?{setup.query(ORDERS)}") as answer:
        assert answer.headers["Content-Disposition"] == 'attachment; filename="beer-game-retailer-random-1.csv"'
        assert answer.read().decode() == as_csv(reveal(setup, ORDERS).courses())


def test_the_server_listens_on_this_machine_alone_and_leaves_nothing_behind(server: str, folder: Path) -> None:
    port = int(server.rsplit(":", 1)[1])
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port), timeout=5):
        pass
    get(server, "/")
    assert list((folder / "empty").iterdir()) == []


def test_listening_to_others_prints_a_warning_and_a_taken_port_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "echelon.experiments.cli", "web", "--no-browser", "--host", "0.0.0.0"]
        command += ["--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 2
    warning, error = done.stderr.splitlines()
    assert warning.startswith("Warning: 0.0.0.0 can be reached from other machines.")
    assert error == f"--port: cannot listen on 0.0.0.0 port {port}: Address already in use"


def get(server: str, path: str, host: str = "127.0.0.1") -> tuple[int, bytes, http.client.HTTPMessage]:
    """The answer to a path that is sent as it is written."""
    connection = http.client.HTTPConnection("127.0.0.1", int(server.rsplit(":", 1)[1]), timeout=20)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()
