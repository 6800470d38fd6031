"""Seconds that `maskfer predict` takes for a minute of video, its start included, beside the minute that it plays.

    python benchmarks/video.py [--seconds 60] [--every 0.5] [--json FILE]

The video has 1280x720 pixels, thirty frames a second, sound, and four rendered people who walk about. It is answered
twice: for its lines alone, and with `--annotated`, which draws on every frame and writes another video. Seconds of the
processors, of all cores together, hardly depend on what else the machine does."""
import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from maskfer_nb import faces
from maskfer_nb.files import write_json

WIDTH, HEIGHT, RATE, HERTZ = 1280, 720, 30, 48_000


def scene(people: list, number: int) -> np.ndarray:
    "A frame, (720, 1280, 3) uint8 RGB: each person sways about a place of their own."
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for place, person in enumerate(people):
        side = len(person)
        left = 40 + 310 * place + round(30 * np.sin(number / 20 + place))
        top = 200 + round(100 * np.sin(number / 33 + 2 * place))
        picture[top : top + side, left : left + side] = person
    return picture


def written(path: Path, seconds: float):
    "The video, with a tone."
    rows = [row for _, row in faces.recipes(4, seed=0).iterrows()]
    people = [cv2.resize(faces.photograph(row, 300)[0], (240, 240)) for row in rows]
    with av.open(str(path), "w") as output:
        stream, sound = output.add_stream("h264", rate=RATE), output.add_stream("aac", rate=HERTZ, layout="mono")
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(round(seconds * RATE)):
            frame = av.VideoFrame.from_ndarray(scene(people, number))
            output.mux(stream.encode(frame))
            times = np.arange(number * HERTZ // RATE, (number + 1) * HERTZ // RATE)
            tone = av.AudioFrame.from_ndarray((9000 * np.sin(times / 17)).astype(np.int16)[None], "s16", "mono")
            tone.sample_rate, tone.pts, tone.time_base = HERTZ, int(times[0]), Fraction(1, HERTZ)
            output.mux(sound.encode(tone))
        output.mux([*stream.encode(), *sound.encode()])


def spent() -> float:
    "Seconds that the processors have worked for ended children."
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def predicted(path: Path, *options: str) -> tuple[float, float, list]:
    "Seconds, those of the processors, and the lines that were said."
    out = path.with_suffix(".jsonl")
    out.unlink(missing_ok=True)
    words = ["predict", str(path), "--out", str(out), *options]
    start, before = time.perf_counter(), spent()
    program = "from maskfer_nb.command import main; main()"
    subprocess.run([sys.executable, "-c", program, *words], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start, spent() - before, [json.loads(line) for line in out.read_text().splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="that the video plays (default: 60)")
    parser.add_argument("--every", type=float, default=0.5, help="seconds between looks (default: 0.5)")
    parser.add_argument("--json", type=Path, help="where the numbers are kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        path, every = Path(work) / "video.mp4", ["--every", str(args.every)]
        written(path, args.seconds)
        seconds, worked, lines = predicted(path, *every)
        mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        shown = str(Path(work) / "shown")
        annotated, annotated_worked, _ = predicted(path, *every, "--annotated", shown)
    seen = [len(line["faces"]) for line in lines]
    ids = {face["id"] for line in lines for face in line["faces"]}
    print(f"{args.seconds:.0f} s of {WIDTH}x{HEIGHT}, {len(lines)} looks, {np.mean(seen):.1f} faces each, "
          f"{len(ids)} ids: {seconds:.1f} s ({worked:.1f} of the processors), annotated video too {annotated:.1f} s "
          f"({annotated_worked:.1f}); {mb:.0f} MB")
    found = dict(plays=args.seconds, looks=len(lines), faces=float(np.mean(seen)), ids=len(ids), seconds=seconds,
                 processor_seconds=worked, annotated_seconds=annotated, annotated_processor_seconds=annotated_worked,
                 mb=mb)
    if args.json: write_json(args.json, found)


if __name__ == "__main__":
    main()
