"Videos: every frame at its own time, faces that keep their numbers, drawn videos in step with their sound."
import json
import os
import socket
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

from maskfer_nb import command, faces, video
from maskfer_nb.predictor import Face, MaskedFER

CODECS = {"mp4": "h264", "webm": "libvpx", "mkv": "h264", "ts": "h264", "avi": "mpeg4", "mov": "h264", "m4v": "h264"}
CONSTANT = [n / 25 for n in range(100)]
VARIABLE = [*np.arange(50) / 25, *2 + np.arange(8) / 2, *6 + np.arange(60) / 50]
FAST = dict(deadline="realtime") | {"cpu-used": "8"}


def film(path, pictures, times, rate=25, sound=None, beeps=None, late=0, codec=None, **options):
    "Write pictures (H, W, 3) at their seconds; with sound, ten seconds whose beep begins after `beeps`."
    kind = str(path).rpartition(".")[2]
    with av.open(str(path), "w", **options) as output:
        stream = output.add_stream(codec or CODECS[kind], rate=rate, options=FAST if kind == "webm" else {})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        heard = sound and output.add_stream(sound, rate=48_000, layout="mono")
        for picture, seconds in zip(pictures, times):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts, frame.time_base = round(1000 * seconds), Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        if sound:
            second = np.arange(round((times[-1] - late) * 48_000)) / 48_000 + late
            wave = np.where(second >= beeps, np.sin(5000 * second), 0) * 30_000
            for start in range(0, len(wave), 1024):
                some = av.AudioFrame.from_ndarray(wave[None, start : start + 1024].astype(np.int16), "s16", "mono")
                some.sample_rate, some.pts, some.time_base = 48_000, start + round(late * 48_000), Fraction(1, 48_000)
                output.mux(heard.encode(some))
            output.mux(heard.encode())
    return path


def copied(path, source, later=0):
    "The packets of a video in another file, so many seconds later."
    with av.open(str(source)) as bare, av.open(str(path), "w") as output:
        streams = {stream: output.add_stream_from_template(stream) for stream in bare.streams}
        for packet in bare.demux():
            if packet.dts is None: continue
            shift = round(later / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, streams[packet.stream]
            output.mux(packet)
    return path


def numbered(n):
    "A picture that says its number in eight stripes, black and white."
    bits = (n >> np.arange(8)) & 1
    return np.broadcast_to(np.repeat(bits * 255, 16)[None, :, None], (64, 128, 3)).astype(np.uint8)


def number_of(picture):
    return int((1 << np.arange(8))[picture[32, 8::16].mean(1) > 128].sum())


@pytest.fixture(scope="module")
def people():
    "Two rendered people, pictures of 160 pixels."
    rows = faces.recipes(2, seed=21, classes=("happy", "surprised"))
    return [faces.photograph(row, 160)[0] for _, row in rows.iterrows()]


# Times
@pytest.mark.parametrize("kind", list(CODECS))
@pytest.mark.parametrize("times, rate", [(CONSTANT, 25), (VARIABLE, 25), (CONSTANT, 3), (CONSTANT, 100)],
                         ids=["constant", "variable", "stated too low", "stated too high"])
def test_a_frame_is_told_with_the_time_at_which_it_is_shown(kind, times, rate, tmp_path):
    path = film(tmp_path / f"film.{kind}", [numbered(n) for n in range(len(times))], times, rate)
    near = 0.04 if kind == "avi" else 0.002  # an AVI's frames have a length alone, so they come in whole steps of it
    seen = [(seconds, number_of(picture)) for seconds, picture in video.frames(path, every=0.001)]
    assert [number for _, number in seen] == list(range(len(times)))
    assert max(abs(seconds - times[number]) for seconds, number in seen) < near
    with av.open(str(path)) as container:
        start = container.streams.video[0].start_time * container.streams.video[0].time_base
        own = [float(frame.pts * frame.time_base - start) for frame in container.decode(video=0)]
    assert [seconds for seconds, _ in seen] == pytest.approx(own, abs=1e-6)
    some = list(video.frames(path, every=0.5))
    due = [next(time for time in times if time > 0.5 * step - 0.002) for step in range(int(times[-1] / 0.5) + 1)]
    assert [seconds for seconds, _ in some] == pytest.approx(sorted({*due}), abs=near)
    assert all(abs(times[number_of(picture)] - seconds) < near for seconds, picture in some)


def test_frames_without_times_follow_each_other_at_the_stated_rate(tmp_path):
    path = film(tmp_path / "raw.h264", [numbered(n) for n in range(50)], np.arange(50) / 25, codec="h264")
    seen = [seconds for seconds, _ in video.frames(path, every=0.5)]
    assert seen == pytest.approx([0, 0.5, 1, 1.5], abs=0.05)


def test_two_recordings_put_one_behind_the_other_go_on(tmp_path):
    part = film(tmp_path / "part.ts", [numbered(n) for n in range(75)], CONSTANT[:75]).read_bytes()
    (tmp_path / "both.ts").write_bytes(part + part)
    seen = [seconds for seconds, _ in video.frames(tmp_path / "both.ts")]
    assert seen == pytest.approx(np.arange(12) / 2, abs=0.05)


def test_a_stream_that_begins_within_a_file_leaves_the_others_readable(tmp_path):
    silent = film(tmp_path / "silent.flv", [numbered(0)] * 500, np.arange(500) / 25, codec="h264").read_bytes()
    heard = film(tmp_path / "heard.flv", [numbered(0)] * 50, CONSTANT[:50], 25, "aac", 1, codec="h264").read_bytes()
    (tmp_path / "late.flv").write_bytes(silent + heard[13:])  # without the header
    video.rewrite(tmp_path / "late.flv", tmp_path / "drawn.mp4", lambda seconds, image: image)
    for name in ("late.flv", "drawn.mp4"):
        seen = [seconds for seconds, _ in video.frames(tmp_path / name, every=1)]
        assert seen == pytest.approx(range(22), abs=0.05)


@pytest.mark.parametrize("every", [0, -1])
def test_no_time_between_frames_is_refused(every, tmp_path):
    film(tmp_path / "film.mp4", [numbered(0)] * 25, CONSTANT[:25])
    with pytest.raises(SystemExit, match="more than 0 are needed; 0.001 takes every frame"):
        command.main(["predict", str(tmp_path / "film.mp4"), "--every", str(every)])


@pytest.mark.parametrize("matrix, quarters", [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_a_phones_video_is_turned_upright(matrix, quarters, tmp_path):
    "By the matrix in the track's header, which turns what is on the right down, for one that is held upright."
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:32, :32] = 255
    path = film(tmp_path / "phone.mp4", [picture] * 25, CONSTANT[:25])
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44
    for place, value in zip((0, 4, 12, 16), matrix):
        content[start + place : start + place + 4] = (value * 65_536).to_bytes(4, "big", signed=True)
    path.write_bytes(content)
    shown = np.rot90(picture, quarters)
    for file in (path, tmp_path / "drawn.mp4"):
        if file != path: video.rewrite(path, file, lambda seconds, image: image)
        (_, seen), = video.frames(file, every=9)
        assert seen.shape == shown.shape and np.abs(seen.astype(int) - shown).mean() < 5


# Damage
def test_a_torn_video_is_answered_up_to_there_and_then_says_so(people, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (9, 32, 160, 3), np.uint8)  # gives every frame its bytes
    pictures = [np.vstack([people[0], noise[n % 9]]) for n in range(100)]
    for kind, options in (("mp4", dict(options=dict(movflags="faststart"))), ("mkv", {}), ("webm", {})):
        path = film(tmp_path / f"whole.{kind}", pictures, CONSTANT, **options)
        torn = tmp_path / f"torn.{kind}"
        torn.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        *lines, last = command.predict(torn, folder=tmp_path / "shown")
        assert len(lines) >= 2 and all(len(line["faces"]) == 1 for line in lines)
        assert last.keys() == {"file", "error"} and f"{torn}: torn, ends after" in last["error"]
        written = [seconds for seconds, _ in video.frames(tmp_path / "shown" / command._shown_name(torn, tmp_path))]
        assert written == pytest.approx([line["seconds"] for line in lines], abs=0.01)


@pytest.mark.parametrize("later", [1, 10])
@pytest.mark.parametrize("kind", ["mkv", "webm", "mp4", "mov", "ts", "flv"])
def test_a_video_that_keeps_the_times_of_a_longer_one_is_torn_only_where_it_is(kind, later, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (50, 64, 128, 3), np.uint8)
    source = film(tmp_path / f"film.{'webm' if kind == 'webm' else 'mp4'}", noise, CONSTANT[:50])
    path = copied(tmp_path / f"kept.{kind}", source, later)
    assert [seconds for seconds, _ in video.frames(path)] == pytest.approx([0, 0.52, 1, 1.52], abs=0.025)
    if kind not in ("mkv", "webm"): return
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(video.Damaged, match=rf"torn, ends after [0-9.]+ of {later + 2}\.0 s"):
        list(video.frames(path))


def test_packets_that_cannot_be_decoded_are_left_out_and_counted(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (100, 64, 128, 3), np.uint8)
    path = film(tmp_path / "film.mp4", noise, CONSTANT)
    content = bytearray(path.read_bytes())
    middle = slice(len(content) // 2, len(content) // 2 + len(content) // 20)
    content[middle] = bytes(middle.stop - middle.start)
    path.write_bytes(content)
    seen = []
    with pytest.raises(video.Damaged, match="film.mp4: damaged, [0-9]+ of its packets cannot be decoded"):
        for seconds, _ in video.frames(path, every=0.001): seen.append(seconds)
    assert 40 < len(seen) < 100 and seen[-1] > 3.5


@pytest.mark.parametrize("name, make, said", [
    ("song.mp3", lambda path: sounding(path, "libmp3lame"), "not a video (no moving pictures in it), and no picture"),
    ("cover.m4a", lambda path: sounding(path, "aac", cover=True), "not a video (no moving pictures in it)"),
    ("cut.mp4", lambda path: cut_short(path), "not a video ("),
    ("empty.mkv", lambda path: path.touch(), "not a video (Invalid data"),
    ("notes.txt", lambda path: path.write_text("a text\n"), "not a video"),
    ("code.ts", lambda path: path.write_text("export const a = 1\n"), "not a video"),
    ("list.m3u8", lambda path: path.write_text("#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n"), "not a video"),
    ("letters.bin", lambda path: path.write_bytes(bytes(range(256)) * 300), "not a video"),
    ("drawing.svg", lambda path: path.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>'), "not a video"),
    ("table.csv", lambda path: path.write_text("a,b\n1,2\n"), "not a video"),
])
def test_what_is_no_video_is_refused_by_name(name, make, said, tmp_path, capfd):
    make(tmp_path / name)
    (line,) = command.predict(tmp_path / name)
    assert line["file"] == name and line["error"].startswith(f"{tmp_path / name}: {said}"), line
    assert line["error"].isprintable() and capfd.readouterr().err == ""
    with pytest.raises(SystemExit): command.main(["predict", str(tmp_path / name)])


def sounding(path, codec, cover=False):
    with av.open(str(path), "w", format="mp4" if cover else None) as output:
        stream = output.add_stream(codec, rate=44_100, layout="mono")
        if cover:
            drawing = output.add_stream("mjpeg", rate=1)
            drawing.width = drawing.height = 64
            drawing.pix_fmt, drawing.disposition = "yuvj420p", av.stream.Disposition.attached_pic
            output.mux([*drawing.encode(av.VideoFrame(64, 64, "yuvj420p")), *drawing.encode()])
        some = av.AudioFrame.from_ndarray(np.zeros((1, 44_100), np.int16), "s16", "mono")
        some.sample_rate = 44_100
        output.mux([*stream.encode(some), *stream.encode()])


def cut_short(path):
    film(path, [numbered(0)] * 50, CONSTANT[:50])
    path.write_bytes(path.read_bytes()[:-900])  # the list of its frames is at the end


def test_a_playlist_asks_nobody(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n")
        (tmp_path / "list").write_text(f"ffconcat version 1.0\nfile '{address}'\n")
        assert [line["file"] for line in command.predict(tmp_path, jobs=1) if "error" in line] == ["list", "list.m3u8"]
        server.settimeout(0.1)
        with pytest.raises(TimeoutError): server.accept()


def test_a_name_that_is_no_text_and_one_like_an_address(people, tmp_path):
    names = [b"no\xfftext.mp4", b"concat:a|b.mp4", b"%03d.mp4", b"two\nlines.mp4"]
    content = film(tmp_path / "a.mp4", [people[0]] * 10, CONSTANT[:10]).read_bytes()
    for name in names: (tmp_path / os.fsdecode(name)).write_bytes(content)
    lines = list(command.predict(tmp_path, folder=tmp_path / "shown", jobs=1))
    assert len(lines) == 5 and all(len(line["faces"]) == 1 for line in lines), lines
    assert len(list((tmp_path / "shown").iterdir())) == 5


# Which face is which
def square(x, y=90, side=60):
    return np.float32([[x, y], [x + side, y], [x + side, y + side], [x, y + side]])


def walked(steps, every=0.5):
    "The numbers that people get, by name, when a step is {name: square}; they are handed over in turning order."
    numbers, got = video.Numbers(), []
    for step, people in enumerate(steps):
        names = sorted(people, reverse=step % 2 == 1)
        got.append(dict(zip(names, numbers(step * every, [people[name] for name in names]))))
    return got


@pytest.mark.parametrize("stride", [5, 15, 30, 45, 59])
@pytest.mark.parametrize("hidden", [set(), {"a"}, {"b"}])
def test_who_walks_past_another_keeps_the_number(stride, hidden):
    steps = [{"a": square(stride * step), "b": square(stride * (11 - step), 95)} for step in range(12)]
    for step in (5, 6): steps[step] = {name: steps[step][name] for name in steps[step] if name not in hidden}
    assert all(numbers.items() <= {"a": 1, "b": 2}.items() for numbers in walked(steps))


def test_who_leaves_and_comes_back_keeps_the_number_for_two_seconds():
    both, alone = {"a": square(50), "b": square(300)}, {"a": square(50)}
    assert walked([both, alone, alone, both])[-1] == {"a": 1, "b": 2}
    assert walked([both, *[alone] * 5, both])[-1] == {"a": 1, "b": 3}
    assert walked([both, {}, both])[-1] == {"a": 1, "b": 2}
    assert walked([both, {"a": square(50), "c": square(200)}])[-1] == {"a": 1, "c": 3}  # too far away to be b
    assert walked([both, {"a": square(50), "c": square(300, side=130)}])[-1] == {"a": 1, "c": 3}  # too large
    assert walked([both, both], every=9)[-1] == {"a": 1, "b": 2}  # looks may be far apart


def test_who_turns_round_keeps_the_number():
    steps = [{"a": square(x)} for x in (0, 40, 80, 120, 120, 80, 40, 0)]
    assert {numbers["a"] for numbers in walked(steps)} == {1}


def test_faces_of_a_video_have_ids(people, tmp_path):
    "One comes nearer and so changes places with the other in the order, which is by size."
    def scene(n):
        near = np.asarray(Image.fromarray(people[0]).resize((140 + 20 * n,) * 2))
        picture = np.full((360, 520, 3), 90, np.uint8)
        picture[: len(near), : len(near)] = near
        picture[100:260, 350:510] = people[1]
        return picture

    path = film(tmp_path / "film.webm", [scene(n) for n in range(8)], np.arange(8) / 2)
    lines = list(command.predict(path))
    assert len(lines) == 8 and all(len(line["faces"]) == 2 for line in lines)
    middles = [{face["id"]: face["box"][0] + face["box"][2] for face in line["faces"]} for line in lines]
    left = lines[0]["faces"][0]["box"][0] > 200
    assert all(set(each) == {1, 2} and (each[1] < each[2]) != left for each in middles)
    assert len({line["faces"][0]["id"] for line in lines}) == 2


def test_between_two_looks_a_face_is_on_its_way():
    here, there = (Face((x, 90, x + 60, 150), 0.1, {"happy": 1.0}, np.zeros((6, 6)), square(x)) for x in (0, 100))
    looks = [(1.0, {1: here, 2: here}), (2.0, {1: there, 3: here})]
    for seconds, x in ((1, 0), (1.25, 25), (1.999, 99.9)):
        shown = video.between(looks, seconds)
        assert shown.keys() == {1, 2} and shown[2].square == pytest.approx(here.square)
        assert shown[1].square == pytest.approx(square(x)) and shown[1].box == pytest.approx((x, 90, x + 60, 150))
    for seconds in (2, 7): assert video.between(looks, seconds) == looks[1][1]


# Drawn, with sound
def flash_and_beep(path):
    "Seconds at which the picture turns white and at which the sound begins, by the decoder's own times."
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.to_ndarray(format="gray").mean() > 128: break
        flash = frame.time
    with av.open(str(path)) as container:
        for sound in container.decode(audio=0):
            (heard,) = av.AudioResampler("flt", "mono", sound.sample_rate).resample(sound)
            loud = np.abs(heard.to_ndarray()[0]) > 0.3
            if loud.any(): return flash, sound.time + loud.argmax() / sound.sample_rate
    raise AssertionError("no sound")


@pytest.mark.parametrize("late", [0, 0.4])
@pytest.mark.parametrize("kind, sound, kept", [
    ("mp4", "aac", "aac"), ("webm", "libopus", "aac"), ("mkv", "libmp3lame", "mp3"), ("ts", "aac", "aac"),
    ("avi", "libmp3lame", "mp3"), ("mov", "pcm_s16le", "aac"), ("mkv", "flac", "aac"), ("ts", "mp2", "aac")])
def test_the_drawn_video_plays_in_step_with_its_sound(kind, sound, kept, late, tmp_path):
    if kind == "avi" and late: pytest.skip("an AVI's sound begins with its pictures")
    dark, white = np.full((64, 96, 3), 20, np.uint8), np.full((64, 96, 3), 250, np.uint8)
    path = film(tmp_path / f"film.{kind}", [dark] * 50 + [white] * 50, CONSTANT, 25, sound, 2.0, late)
    flash, beep = flash_and_beep(path)
    assert abs(flash - beep) < 0.06
    video.rewrite(path, tmp_path / "drawn.mp4", lambda seconds, image: image[:, ::-1])
    drawn_flash, drawn_beep = flash_and_beep(tmp_path / "drawn.mp4")
    assert (drawn_beep - drawn_flash) == pytest.approx(beep - flash, abs=0.025)
    with av.open(str(tmp_path / "drawn.mp4")) as drawn, av.open(str(path)) as bare:
        assert drawn.format.name.startswith("mov,mp4")
        names = [(each.type, each.codec_context.codec.canonical_name) for each in drawn.streams]
        assert names == [("video", "h264"), ("audio", kept)]
        seconds = [float(each.duration * each.time_base) for each in drawn.streams]
        assert seconds[0] == pytest.approx(4, abs=0.1) and seconds[1] > 3.4
        own = [frame.time for frame in bare.decode(video=0)]
        times = [frame.time for frame in drawn.decode(video=0)]
        start = bare.start_time / av.time_base  # of the pictures, or of a sound that comes earlier
        assert times == pytest.approx([time - start for time in own], abs=1e-3)


@pytest.mark.parametrize("later", [0, 10])
@pytest.mark.parametrize("kind, sound", [("mp4", "aac"), ("mkv", "aac"), ("webm", "libopus"), ("ts", "aac")])
def test_what_is_heard_before_the_first_picture_counts(kind, sound, later, tmp_path):
    "As recorders of screens make it: sound from the start, pictures from the third second on."
    dark, white = np.full((64, 96, 3), 20, np.uint8), np.full((64, 96, 3), 250, np.uint8)
    pictures, times = [dark] * 25 + [white] * 25, 3 + np.arange(50) / 25
    first = "mp4" if later and kind == "mkv" else kind  # packets of an MKV have no times of decoding to copy
    path = film(tmp_path / f"first.{first}", pictures, times, 25, sound, 1.0)
    if later: path = copied(tmp_path / f"later.{kind}", path, later)
    video.rewrite(path, tmp_path / "drawn.mp4", lambda seconds, image: image)
    for file in (path, tmp_path / "drawn.mp4"):
        seen = [seconds for seconds, _ in video.frames(file)]
        assert seen == pytest.approx([3, 3.5, 4, 4.5], abs=0.05)
    flash, beep = flash_and_beep(tmp_path / "drawn.mp4")
    assert flash == pytest.approx(4, abs=0.05) and beep == pytest.approx(1, abs=0.05)


def test_a_drawn_video_of_odd_size_shows_the_same(tmp_path):
    picture = np.zeros((61, 93, 3), np.uint8)
    picture[:30] = 200
    path = film(tmp_path / "film.webm", [picture] * 10, CONSTANT[:10])
    video.rewrite(path, tmp_path / "drawn.mp4", lambda seconds, image: image)
    (_, seen), = video.frames(tmp_path / "drawn.mp4", every=9)
    assert seen.shape == (62, 94, 3) and np.abs(seen[:61, :93].astype(int) - picture).mean() < 8


def test_a_drawn_video_is_there_whole_or_not_at_all(tmp_path):
    path = film(tmp_path / "film.mp4", [numbered(0)] * 50, CONSTANT[:50])
    def fails(seconds, image):
        if seconds > 1: raise RuntimeError("no power")
        return image
    (tmp_path / "out").mkdir()
    with pytest.raises(RuntimeError): video.rewrite(path, tmp_path / "out/drawn.mp4", fails)
    assert not list((tmp_path / "out").iterdir())


def test_every_frame_is_drawn_upon(people, tmp_path):
    "Looked at twice, a moving face is framed in all fifty frames, at the place where it is."
    def scene(n):
        picture = np.full((160, 320, 3), 90, np.uint8)
        picture[:, 3 * n : 3 * n + 160] = people[0]
        return picture

    path = film(tmp_path / "film.mp4", [scene(n) for n in range(50)], CONSTANT[:50], sound="aac", beeps=1)
    lines = list(command.predict(path, folder=tmp_path / "shown", every=0.96))
    assert [line["seconds"] for line in lines] == [0, 0.96, 1.92]
    corners = MaskedFER.from_pretrained()(scene(0))[0].square[:, 0]
    for n, (_, picture) in enumerate(video.frames(tmp_path / "shown/film.mp4", every=0.001)):
        columns = np.flatnonzero((np.abs(picture.astype(int) - scene(n)).max(2)[40:] > 60).sum(0) > 10)
        left, right = corners.min() + 3 * n, corners.max() + 3 * n
        assert columns.min() == pytest.approx(max(0, left), abs=4) and columns.max() == pytest.approx(right, abs=8)
    assert n == 49
    with av.open(str(tmp_path / "shown/film.mp4")) as drawn: assert drawn.streams.audio


# The command
def test_a_bar_counts_the_seconds_of_a_long_video(tmp_path, monkeypatch, capsys):
    path = film(tmp_path / "film.mkv", [numbered(n) for n in range(100)], CONSTANT)
    assert len(list(command.predict(path))) == 8 and capsys.readouterr().err == ""  # a short one
    asked = []
    def at_once(**options):
        asked.append(options["delay"])
        return tqdm(**options | dict(delay=0, mininterval=0))
    monkeypatch.setattr(video, "tqdm", at_once)
    assert len(list(command.predict(path))) == 8
    said = capsys.readouterr().err
    assert asked == [2] and "film.mkv:  75%" in said and "3/4" in said


@pytest.mark.parametrize("name", ["film.webm", "film"])
def test_an_interrupted_video_is_looked_at_again(name, people, tmp_path):
    for number in range(2): Image.fromarray(people[number]).save(tmp_path / f"{number}.png")
    film(tmp_path / "a.webm", [people[0]] * 50, CONSTANT[:50]).rename(tmp_path / name)
    out = tmp_path / "faces.jsonl"
    command.main(["predict", str(tmp_path), "--out", str(out), "--jobs", "1"])
    whole = out.read_text()
    assert [json.loads(line)["file"] for line in whole.splitlines()] == ["0.png", "1.png"] + [name] * 4
    for kept in (3, 4, 6):
        out.write_text("".join(whole.splitlines(True)[:kept]) + '{"file": ')
        command.main(["predict", str(tmp_path), "--out", str(out), "--jobs", "1"])
        assert out.read_text() == whole


def test_a_video_that_ended_with_an_error_is_looked_at_again(tmp_path):
    out = tmp_path / "faces.jsonl"
    out.write_text('{"file": "a.png", "faces": []}\n{"file": "b.mp4", "seconds": 0.0, "faces": []}\n'
                   '{"file": "b.mp4", "error": "torn"}\n')
    assert command.take_up(out) == {"a.png"}
    out.write_text('{"file": "b.mp4", "seconds": 0.0, "faces": []}\n{"file": "c.mp4", "error": "no video"}\n')
    assert command.take_up(out) == {"b.mp4", "c.mp4"}


def test_a_video_is_told_while_it_is_read(people, tmp_path, monkeypatch):
    "So memory does not grow with its length."
    path, read = film(tmp_path / "film.mp4", [people[0]] * 100, CONSTANT), []
    upright = video._upright
    monkeypatch.setattr(video, "_upright", lambda *given: read.append(1) or upright(*given))
    lines = command.predict(path, every=0.04)
    next(lines)
    assert len(read) == command._GROUP
    assert sum(1 for _ in lines) == 99 and len(read) == 100
