"""NVIDIA DALI on the CPU."""

import time

import numpy
from nvidia.dali import fn, pipeline_def, types

import peer


@pipeline_def(exec_async=True, exec_pipelined=True, seed=1)
def images(paths, labels):
    encoded, label = fn.readers.file(
        files=paths, labels=labels, random_shuffle=True, initial_fill=1024, name="reader"
    )
    # Decodes the lines and blocks that the crop keeps, not the whole image.
    crop = fn.decoders.image_random_crop(
        encoded,
        device="cpu",
        output_type=types.RGB,
        random_area=peer.SCALE,
        random_aspect_ratio=peer.RATIO,
        num_attempts=10,
    )
    resized = fn.resize(
        crop, size=[peer.SIZE, peer.SIZE], interp_type=types.INTERP_LINEAR, antialias=True
    )
    image = fn.crop_mirror_normalize(
        resized,
        dtype=types.FLOAT,
        output_layout="CHW",
        mirror=fn.random.coin_flip(),
        mean=[255 * mean for mean in peer.MEAN],
        std=[255 * std for std in peer.STD],
    )
    return image, label


def build(options):
    paths, labels = peer.files(options.root)
    batches = len(paths) // options.batch_size
    start = time.perf_counter()
    pipeline = images(
        paths,
        labels,
        batch_size=options.batch_size,
        num_threads=options.workers,
        prefetch_queue_depth=options.depth,
        device_id=None,
    )
    pipeline.build()

    def epoch(_):
        for _ in range(batches):
            image, label = pipeline.run()
            # Views of DALI's memory: nothing is copied.
            yield numpy.asarray(image.as_tensor()), numpy.asarray(label.as_tensor())

    return epoch, start


if __name__ == "__main__":
    peer.run(["nvidia-dali-cuda120"], build)
