"""tf.data."""

import os
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

import peer


def build(options):
    paths, labels = peer.files(options.root)
    tf.config.threading.set_inter_op_parallelism_threads(options.workers)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    mean = tf.constant([255 * mean for mean in peer.MEAN])
    scale = tf.constant([1 / (255 * std) for std in peer.STD])
    whole = tf.constant([[[0.0, 0.0, 1.0, 1.0]]])

    def load(path, label):
        file = tf.io.read_file(path)
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.image.extract_jpeg_shape(file),
            whole,
            min_object_covered=0.0,
            area_range=peer.SCALE,
            aspect_ratio_range=peer.RATIO,
            max_attempts=10,
        )
        window = tf.stack([begin[0], begin[1], size[0], size[1]])
        image = tf.image.decode_and_crop_jpeg(file, window, channels=3)
        image = tf.image.resize(
            image, (peer.SIZE, peer.SIZE), antialias=options.form != "no-antialias"
        )
        image = tf.image.random_flip_left_right(image)
        return tf.transpose((image - mean) * scale, (2, 0, 1)), label

    start = time.perf_counter()
    threads = tf.data.Options()
    threads.threading.private_threadpool_size = options.workers
    threads.threading.max_intra_op_parallelism = 1
    threads.deterministic = False
    data = (
        tf.data.Dataset.from_tensor_slices((paths, labels))
        .shuffle(len(paths), reshuffle_each_iteration=True)
        .map(load, num_parallel_calls=options.workers)
        .batch(options.batch_size, drop_remainder=True)
        .prefetch(options.depth)
        .with_options(threads)
    )
    return lambda _: data, start


if __name__ == "__main__":
    peer.run(["tensorflow-cpu"], build)
