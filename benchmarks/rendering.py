"""Rendered faces a second, beside the naive way: one process that paints everybody anew for every picture.

    python benchmarks/rendering.py [--faces 400] [--alone 24] [--size 112] [--variants llvm_ad_rgb]

Both are measured in one run on one machine, and the ratio is what to read. It also prints the peak memory of all
processes together (proportional set size) and where the time of a face goes. `--faces 4 --alone 1 --size 16` only shows
that everything works."""
import argparse
import tempfile
import threading
import time

import numpy as np
import psutil

from maskfer_nb import faces
from maskfer_nb.head import at_rest
from maskfer_nb.worn import dressed


class Peak:
    "Peak memory of this process and its children, in MB, while the block runs."

    def __enter__(self):
        self.megabytes, self.done = 0, threading.Event()
        self.watcher = threading.Thread(target=self._watch)
        self.watcher.start()
        return self

    def _watch(self):
        this = psutil.Process()
        while not self.done.wait(.5):
            total = 0
            for process in [this, *this.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.NoSuchProcess:
                    continue  # it ended while we counted
            self.megabytes = max(self.megabytes, total / 1e6)

    def __exit__(self, *_):
        self.done.set()
        self.watcher.join()


def timed(function, *args, **kwargs):
    start = time.perf_counter()
    function(*args, **kwargs)
    return time.perf_counter() - start


def forget():
    for cached in (at_rest, dressed): cached.cache_clear()


def anew(row, size):
    "Seconds that a face takes if nothing of the person is remembered."
    forget()
    return timed(faces.photograph, row, size)


def where_time_goes(row, size):
    person = tuple(faces.part_of(row, "person").items())
    forget()
    parts = dict(shape=timed(at_rest, person), paint=timed(dressed, person))
    parts["scene, rays and regions"] = np.median([timed(faces.photograph, row, size) for _ in range(5)])
    parts["landmarks"] = np.median([timed(faces.landmarks, row, size) for _ in range(5)])
    listed = ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in parts.items())
    print(f"one face, ms: {listed} (shape and paint once a person)")


def samples_and_noise(rows, size):
    "Time and noise for some numbers of rays a pixel."
    reference = np.float32(faces.photograph(rows[0], size, 256)[0])
    for samples in (4, 8, 16, 36, 64):
        seconds = np.median([timed(faces.photograph, row, size, samples) for row in rows[:3] for _ in range(2)])
        error = np.sqrt(np.mean((faces.photograph(rows[0], size, samples)[0] - reference) ** 2))
        print(f"{samples:3d} samples: {1000 * seconds:.0f} ms, {error:.1f} grey levels from 256 samples")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=400)
    parser.add_argument("--alone", type=int, default=24, help="faces for the naive way")
    parser.add_argument("--size", type=int, default=112, help="pixels")
    parser.add_argument("--variants", nargs="*", default=[], help="of mitsuba, to be measured beside scalar_rgb")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder, Peak() as peak:
        together = timed(faces.render, folder, args.faces, size=args.size)
    print(f"faces.render: {args.faces / together:.1f} faces/s ({args.faces} faces, {together:.0f} s, the start of "
          f"processes included), peak memory {peak.megabytes:.0f} MB")

    import drjit
    drjit.set_thread_count(1)
    rows = [row for _, row in faces.recipes(args.alone).iterrows()]
    faces.photograph(rows[0], args.size)  # mitsuba's own start
    naive = np.mean([anew(row, args.size) for row in rows])
    print(f"naive: {1 / naive:.1f} faces/s; ratio {args.faces / together * naive:.1f}")

    where_time_goes(rows[0], args.size)
    samples_and_noise(rows, args.size)
    for variant in args.variants:
        first, *others = [timed(faces.photograph, row, args.size, variant=variant) for row in rows[:8]]
        print(f"{variant}: {1000 * np.median(others):.0f} ms a face, {first:.1f} s the first")


if __name__ == "__main__":
    main()
