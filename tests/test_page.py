"""The page to listen to, in a real browser: players play, stay in step, and ask for nothing."""

import re
import shutil
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
import soundfile

from rtdenoise.errors import RtdenoiseError
from rtdenoise.page import Clip, matched, write_page
from rtdenoise.plot import draw_comparison

RATE_HZ = 16_000
SECONDS = 4.0
TONES_HZ = {"noisy": 500, "wiener": 1_500, "clean": 3_000}
SCORES = {"PESQ-WB": "1.50", "ESTOI": "0.600"}
NASTY = """<b>"R&D" 'n'</b><!--clips-->"""

# Lets the test hear what the page plays, from outside: whatever is sent to the loudspeaker.
LISTEN = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) {
    window.ear ??= new AnalyserNode(this.context, {fftSize: 8192, smoothingTimeConstant: 0});
    connect.call(this, window.ear);
  }
  return connect.call(this, target, ...rest);
};
window.level = hz => {
  const levels = new Float32Array(window.ear.frequencyBinCount);
  window.ear.getFloatFrequencyData(levels);
  const bin = Math.round(hz / window.ear.context.sampleRate * window.ear.fftSize);
  return Math.max(...levels.slice(bin - 3, bin + 4));
};
"""


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("chromium missing; run scripts/setup-debian.sh test")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """Two clips of tones, so that what is heard tells which version plays."""
    time = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ
    versions = {
        name: (0.1 * (1 + i) * np.sin(2 * np.pi * hz * time)).astype(np.float32)
        for i, (name, hz) in enumerate(TONES_HZ.items())
    }
    picture = BytesIO()
    draw_comparison(versions, RATE_HZ, picture)
    scores = {"noisy": SCORES, "wiener": SCORES | {"PESQ-WB": "2.25"}}
    path = tmp_path_factory.mktemp("page") / "page.html"
    nasty = {NASTY if name == "wiener" else name: audio for name, audio in versions.items()}
    write_page(
        path,
        f"scores of {NASTY}",
        {"means": [{"model": NASTY, "PESQ-WB": "1.50"}], "notes & such": "a < b"},
        [
            Clip("first.wav", RATE_HZ, versions, scores, picture.getvalue()),
            Clip(NASTY, RATE_HZ, nasty, {}),
        ],
    )
    return path


@pytest.fixture
def page(browser, page_file):
    """The page, open; at the end it must have asked for nothing and complained of nothing."""
    page = browser.new_page()
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.add_init_script(LISTEN)
    page.goto(page_file.as_uri())
    yield page
    outside = [url for url in asked if not url.startswith("data:")]
    assert outside == [page_file.as_uri()]
    assert said == []
    page.close()


def position(page, clip=0):
    return float(page.locator("input[type=range]").nth(clip).input_value())


def wait_for_position(page, seconds, clip=0):
    page.wait_for_function(
        "([clip, s]) => Number(document.querySelectorAll('input[type=range]')[clip].value) >= s",
        arg=[clip, seconds],
        timeout=10_000,
    )


def audible(page):
    """Names of the versions that are heard, over half a second that has none of before."""
    page.wait_for_timeout(500)
    levels = {name: page.evaluate("hz => level(hz)", hz) for name, hz in TONES_HZ.items()}
    return [name for name, level in levels.items() if level > -50], levels


def test_play_advances_and_pause_holds(page):
    button = page.get_by_role("button", name="Play first.wav")
    button.click()
    wait_for_position(page, 0.5)
    pause = page.get_by_role("button", name="Pause first.wav")
    assert pause.inner_text() == "Pause"
    pause.click()
    held = position(page)
    assert 0.5 <= held < SECONDS
    page.wait_for_timeout(300)
    assert position(page) == held
    assert audible(page)[0] == []
    button.click()
    wait_for_position(page, held + 0.2)
    assert position(page) < held + 2  # it went on from there


def test_switching_keeps_position_and_exactly_one_version_is_heard(page):
    page.get_by_role("button", name="Play first.wav").click()
    wait_for_position(page, 0.2)
    loudness = []
    for index, name in enumerate(TONES_HZ):
        before = position(page)
        page.locator("section").first.get_by_role("radio").nth(index).click()
        assert before <= position(page) < before + 0.5
        heard, levels = audible(page)
        assert heard == [name], levels
        loudness.append(levels[name])
    assert max(loudness) - min(loudness) < 2  # the tones are made 6 and 9.5 dB apart
    assert page.get_by_role("button", name="Pause first.wav").is_visible()


def test_switching_while_paused_does_not_play(page):
    page.get_by_role("radio").nth(1).click()
    page.wait_for_timeout(200)
    assert position(page) == 0
    page.get_by_role("button", name="Play first.wav").click()
    assert audible(page)[0] == ["wiener"]


def test_keys_play_and_choose(page):
    page.keyboard.press(" ")
    wait_for_position(page, 0.2)
    page.keyboard.press("3")
    assert page.get_by_role("radio").nth(2).is_checked()
    assert audible(page)[0] == ["clean"]
    page.keyboard.press("9")  # there is none
    assert page.get_by_role("radio").nth(2).is_checked()
    page.keyboard.press(" ")
    held = position(page)
    page.wait_for_timeout(200)
    assert position(page) == held


def test_seeking_while_playing_goes_on_from_there(page):
    page.get_by_role("button", name="Play first.wav").click()
    wait_for_position(page, 0.2)
    page.locator("input[type=range]").first.fill("3")
    assert 3 <= position(page) < 3.5
    assert audible(page)[0] == ["noisy"]
    wait_for_position(page, SECONDS)
    page.get_by_role("button", name="Play first.wav").wait_for()  # it ends, and starts anew
    page.get_by_role("button", name="Play first.wav").click()
    page.wait_for_timeout(300)
    assert 0 < position(page) < 2


def test_one_clip_plays_at_a_time(page):
    buttons = page.locator("button")
    buttons.nth(0).click()
    wait_for_position(page, 0.2)
    buttons.nth(1).click()
    wait_for_position(page, 0.2, clip=1)
    held = position(page)
    page.wait_for_timeout(200)
    assert position(page) == held
    assert [button.inner_text() for button in buttons.all()] == ["Play", "Pause"]


def test_names_are_shown_as_they_are(page):
    assert page.title() == f"scores of {NASTY}"
    assert page.locator("h1").inner_text() == f"scores of {NASTY}"
    assert page.locator("section h2").nth(1).inner_text() == NASTY
    assert page.locator("label").nth(4).inner_text() == f"2 {NASTY}"
    assert page.locator("b").count() == 0
    assert page.locator("button").nth(1).get_attribute("aria-label") == f"Play {NASTY}"
    assert page.locator("pre").inner_text() == "a < b"


def test_scores_stand_beside_their_versions(page):
    rows = page.locator("section").first.locator("tr").all_inner_texts()
    assert [[cell.strip() for cell in row.split("\t")[:2]] for row in rows] == [
        ["version", "PESQ-WB"],
        ["1 noisy", "1.50"],
        ["2 wiener", "2.25"],
        ["3 clean", "\u2013"],
    ]
    assert page.locator("img").count() == 1
    assert page.locator("img").evaluate("image => image.naturalWidth") > 500


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_of_a_phone(page, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_matched_versions_are_equally_loud_where_there_is_speech():
    rng = np.random.default_rng(1)
    voice = np.repeat([0.0, 1.0, 0.0, 1.0], RATE_HZ) * rng.normal(0, 0.1, 4 * RATE_HZ)
    versions = {
        "noisy": (voice + rng.normal(0, 0.1, voice.size)).astype(np.float32),
        "soft": (0.2 * voice).astype(np.float32),
        "clean": voice.astype(np.float32),
    }
    speech = voice != 0
    levels = [np.sqrt(np.mean(a[speech] ** 2)) for a in matched(versions, RATE_HZ).values()]
    np.testing.assert_allclose(levels, np.std(versions["noisy"][speech]), rtol=1e-3)


def test_matching_never_clips_nor_blows_up_what_is_muted():
    rng = np.random.default_rng(2)
    clean = rng.normal(0, 0.1, RATE_HZ).astype(np.float32)
    peaky = clean.copy()
    peaky[100] = 3.0
    heard = matched(
        {"noisy": 4 * clean, "mute": 1e-4 * clean, "gone": 0 * clean, "clean": peaky}, RATE_HZ
    )
    assert max(np.abs(audio).max() for audio in heard.values()) == pytest.approx(0.99)
    assert np.std(heard["mute"]) < 0.01 * np.std(heard["noisy"])
    assert not heard["gone"].any()
    silent = np.zeros(RATE_HZ, np.float32)
    assert matched({"noisy": silent, "clean": clean}, RATE_HZ)["clean"] is not None


def test_sounds_are_what_was_given(tmp_path):
    rng = np.random.default_rng(3)
    audio = rng.normal(0, 0.1, 48_000).astype(np.float32)
    write_page(tmp_path / "a.html", "a", {}, [Clip("a", 48_000, {"noisy": audio}, {})])
    text = (tmp_path / "a.html").read_text()
    (sound,) = re.findall('<script type="text/plain">(.*?)</script>', text)
    heard, rate = soundfile.read(BytesIO(b64decode(sound)))
    assert rate == 48_000
    np.testing.assert_allclose(heard, audio, atol=2**-15)


def test_what_cannot_be_written_is_told(tmp_path):
    with pytest.raises(RtdenoiseError, match="cannot be written"):
        write_page(tmp_path / "missing" / "a.html", "a", {}, [])
    uneven = {"noisy": np.zeros(10, np.float32), "clean": np.zeros(9, np.float32)}
    with pytest.raises(ValueError, match="differ in length"):
        write_page(tmp_path / "a.html", "a", {}, [Clip("a", 8_000, uneven, {})])
