"""Small samples with SPDL: its threads call torch's `index_select`, a batch at a time."""

import time

import torch
from spdl.pipeline import PipelineBuilder

import peer


def build(options):
    images, labels = map(torch.from_numpy, peer.small(options.root))
    torch.set_num_threads(1)
    batches = len(labels) // options.batch_size

    def source():
        while True:
            order = torch.randperm(len(labels))
            for batch in range(batches):
                yield order[batch * options.batch_size : (batch + 1) * options.batch_size]

    def load(indices):
        return images.index_select(0, indices).float(), labels.index_select(0, indices)

    start = time.perf_counter()
    pipeline = (
        PipelineBuilder()
        .add_source(source())
        .pipe(load, concurrency=options.workers)
        .add_sink(options.depth)
        .build(num_threads=options.workers)
    )
    pipeline.start()
    items = pipeline.get_iterator()

    def epoch(_):
        for _ in range(batches):
            yield next(items)

    return epoch, start


if __name__ == "__main__":
    peer.run(["spdl-core", "torch"], build, peer.SMALL)
