"""SPDL: FFmpeg decodes, crops, scales and flips on threads; torch normalises the batch."""

import math
import random
import time

import spdl.io
import torch
from spdl.pipeline import PipelineBuilder

import peer


def crop(width, height):
    """torchvision's RandomResizedCrop: left, top, width, height."""
    low, high = math.log(peer.RATIO[0]), math.log(peer.RATIO[1])
    for _ in range(10):
        area = width * height * random.uniform(*peer.SCALE)
        ratio = math.exp(random.uniform(low, high))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, width - w), random.randint(0, height - h), w, h
    w, h = min(width, round(height * peer.RATIO[1])), min(height, round(width / peer.RATIO[0]))
    return (width - w) // 2, (height - h) // 2, w, h


def decode(path):
    packets = spdl.io.demux_image(path)
    left, top, width, height = crop(packets.width, packets.height)
    # Bilinear in swscale takes all pixels under the wider filter when it scales down.
    steps = f"crop={width}:{height}:{left}:{top},scale={peer.SIZE}:{peer.SIZE}:flags=bilinear"
    if random.random() < 0.5:
        steps += ",hflip"
    return spdl.io.decode_packets(packets, filter_desc=steps + ",format=pix_fmts=rgb24")


def build(options):
    paths, labels = peer.files(options.root)
    mean = torch.tensor([255 * mean for mean in peer.MEAN]).view(3, 1, 1)
    std = torch.tensor([255 * std for std in peer.STD]).view(3, 1, 1)
    torch.set_num_threads(1)
    batches = len(paths) // options.batch_size

    def source():
        order = list(range(len(paths)))
        while True:
            random.shuffle(order)
            for batch in range(batches):
                yield order[batch * options.batch_size : (batch + 1) * options.batch_size]

    def load(indices):
        frames = [decode(paths[index]) for index in indices]
        pixels = spdl.io.to_torch(spdl.io.convert_frames(frames))
        images = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        return images.sub_(mean).div_(std), torch.tensor([labels[index] for index in indices])

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
    peer.run(["spdl-io", "spdl-core", "torch"], build)
