"""Rendered faces a second, beside the naive way: one process that paints everybody anew for every picture.

    python benchmarks/rendering.py [--faces 400] [--size 112] [--variants llvm_ad_rgb]

One run, one machine: the ratio is what to read. Prints peak memory of all processes together (proportional set size), and where the time of a face goes."""
import argparse
import tempfile
import threading
import time

import numpy as np
import psutil

from maskfer_nb import faces


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
                try: total += process.memory_full_info().pss
                except psutil.NoSuchProcess: pass
            self.megabytes = max(self.megabytes, total / 1e6)

    def __exit__(self, *_):
        self.done.set()
        self.watcher.join()


def timed(function, *args, **kwargs):
    start = time.perf_counter()
    function(*args, **kwargs)
    return time.perf_counter() - start


def forget():
    for cached in (faces._rest, faces._dressed): cached.cache_clear()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=400)
    parser.add_argument("--size", type=int, default=112, help="pixels")
    parser.add_argument("--variants", nargs="*", default=[], help="of mitsuba, to be measured beside scalar_rgb")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder, Peak() as peak:
        together = timed(faces.render, folder, args.faces, size=args.size)
    print(f"faces.render: {args.faces / together:.1f} faces/s ({args.faces} faces, {together:.0f} s, processes' start included), peak memory {peak.megabytes:.0f} MB")

    import drjit
    drjit.set_thread_count(1)
    rows = [row for _, row in faces.recipes(24).iterrows()]
    faces.photograph(rows[0], args.size)  # mitsuba's own start
    naive = np.mean([(forget(), timed(faces.photograph, row, args.size))[1] for row in rows])
    print(f"naive: {1 / naive:.1f} faces/s; ratio {args.faces / together * naive:.1f}")

    row = rows[0]
    person = tuple(faces._of(row, "person").items())
    forget()
    parts = dict(shape=timed(faces._rest, person), paint=timed(faces._dressed, person))
    parts["scene, rays and regions"] = np.median([timed(faces.photograph, row, args.size) for _ in range(5)])
    parts["landmarks"] = np.median([timed(faces.landmarks, row, args.size) for _ in range(5)])
    print("one face, ms:", ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in parts.items()), "(shape and paint once a person)")
    for samples in (4, 8, 16, 36, 64):
        seconds = np.median([timed(faces.photograph, row, args.size, samples) for row in rows[:3] for _ in range(2)])
        reference = np.float32(faces.photograph(rows[0], args.size, 256)[0])
        error = np.sqrt(np.mean((faces.photograph(rows[0], args.size, samples)[0] - reference) ** 2))
        print(f"{samples:3d} samples: {1000 * seconds:.0f} ms, {error:.1f} grey levels from 256 samples")
    for variant in args.variants:
        first, *others = [timed(faces.photograph, row, args.size, variant=variant) for row in rows[:8]]
        print(f"{variant}: {1000 * np.median(others):.0f} ms a face, {first:.1f} s the first")


if __name__ == "__main__":
    main()
