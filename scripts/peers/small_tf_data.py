"""Small samples with tf.data.

Forms: `samples` shuffles and batches the samples and converts whole batches; `batches` shuffles
indices and gathers a batch at a time.
"""

import os
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

import peer


def build(options):
    images, labels = peer.small(options.root)
    tf.config.threading.set_inter_op_parallelism_threads(options.workers)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    images, labels = tf.constant(images), tf.constant(labels)
    start = time.perf_counter()
    threads = tf.data.Options()
    threads.threading.private_threadpool_size = options.workers
    threads.deterministic = False
    if options.form == "samples":
        data = (
            tf.data.Dataset.from_tensor_slices((images, labels))
            .shuffle(len(labels), reshuffle_each_iteration=True)
            .batch(options.batch_size, drop_remainder=True)
            .map(lambda x, y: (tf.cast(x, tf.float32), y), num_parallel_calls=options.workers)
        )
    else:
        data = (
            tf.data.Dataset.range(len(labels))
            .shuffle(len(labels), reshuffle_each_iteration=True)
            .batch(options.batch_size, drop_remainder=True)
            .map(
                lambda i: (tf.cast(tf.gather(images, i), tf.float32), tf.gather(labels, i)),
                num_parallel_calls=options.workers,
            )
        )
    data = data.prefetch(options.depth).with_options(threads)
    return lambda _: data, start


if __name__ == "__main__":
    peer.run(["tensorflow-cpu"], build, peer.SMALL)
