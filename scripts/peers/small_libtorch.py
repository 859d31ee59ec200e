"""libtorch's own `index_select` and conversion, on as many threads as there are workers.

No loader: nothing is loaded ahead, and nothing else could be done meanwhile.
"""

import time

import torch

import peer


def build(options):
    images, labels = map(torch.from_numpy, peer.small(options.root))
    torch.set_num_threads(options.workers)

    def epoch(_):
        order = torch.randperm(len(labels))
        for begin in range(0, len(labels) - options.batch_size + 1, options.batch_size):
            indices = order[begin : begin + options.batch_size]
            yield images.index_select(0, indices).float(), labels.index_select(0, indices)

    return epoch, time.perf_counter()


if __name__ == "__main__":
    peer.run(["torch"], build, peer.SMALL)
